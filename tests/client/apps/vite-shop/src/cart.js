import { revision } from "./revision.js";

export const openCart = () => `cart open, revision ${revision}`;
