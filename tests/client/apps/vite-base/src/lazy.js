import { revision } from "./revision.js";

export const describe = (base) => `lazy chunk below ${base}, revision ${revision}`;
