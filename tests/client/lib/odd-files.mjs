import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

// Written at build time: some of these names cannot stand in a checkout on every system.
const NAMES = [
  "data/two words.txt",
  "data/100% sure.txt",
  "data/%41 is not A.txt",
  "data/one+one.txt",
  "data/@scope#part.txt",
  "data/what?.txt",
  "data/menu del día (50%) & más+más.txt",
  "data/日本語.txt",
  "data/風/空 #1?.txt",
];

/** Writes the files, an empty one and a list of their names into a public directory. */
export async function writeOddFiles(publicDir) {
  const files = new Map(NAMES.map((name) => [name, `content of ${name}\n`]));
  files.set("data/empty.txt", "");
  files.set("data/odd-names.json", JSON.stringify(NAMES));
  for (const [name, content] of files) {
    const path = join(publicDir, name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, content);
  }
}
