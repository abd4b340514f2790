import { show } from "./show.js";

show("about", "about page is alive");
