// Module Federation needs an asynchronous border before the first remote import.
import("./bootstrap.js");
