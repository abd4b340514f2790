import { execFile } from "node:child_process";
import { access, copyFile, cp, mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { writeOddFiles } from "./odd-files.mjs";

const ROOT = join(import.meta.dirname, "..");
const BIN = join(ROOT, "node_modules", ".bin");
const exec = promisify(execFile);

/** Application -> the command that builds it. */
const COMMANDS = {
  "vite-shop": [join(BIN, "vite"), "build"],
  "vite-base": [join(BIN, "vite"), "build"],
  "rspack-remote": [join(BIN, "rspack"), "build"],
  "rspack-host": [join(BIN, "rspack"), "build"],
};

const ODD_FILES = new Set(["vite-shop", "rspack-remote"]);

const exists = (path) =>
  access(path).then(
    () => true,
    () => false,
  );

// The plugin takes organisation and project from the remote, which is never contacted.
const GIT_SETUP = [
  ["init", "--quiet", "--initial-branch", "main"],
  ["remote", "add", "origin", "git@github.com:acme/shop.git"],
  ["config", "user.name", "Ada Tester"],
  ["config", "user.email", "ada@example.com"],
  ["config", "commit.gpgsign", "false"],
];

/**
 * Copies an application into a directory (the first time), gives it a source revision, and
 * commits that, because the plugin wants a repository with a commit. Returns the build command.
 */
export async function prepare(app, workdir, revision, env) {
  const command = COMMANDS[app];
  if (!command) throw new Error(`no application ${app}; there are ${Object.keys(COMMANDS)}`);
  if (!(await exists(command[0]))) throw new Error(`run npm ci in ${ROOT} first`);
  const git = (...args) => exec("git", args, { cwd: workdir, env });
  if (!(await exists(join(workdir, "package.json")))) {
    await mkdir(workdir, { recursive: true });
    await cp(join(ROOT, "apps", app), workdir, { recursive: true });
    await copyFile(join(ROOT, "lib", "report-deploy.mjs"), join(workdir, "report-deploy.mjs"));
    await symlink(join(ROOT, "node_modules"), join(workdir, "node_modules"));
    await writeFile(join(workdir, ".gitignore"), "node_modules\ndist\n");
    if (ODD_FILES.has(app)) await writeOddFiles(join(workdir, "public"));
    for (const args of GIT_SETUP) await git(...args);
  }
  // One chunk of every application holds this number; the other chunks stay as they are.
  await writeFile(join(workdir, "src", "revision.js"), `export const revision = ${Number(revision)};\n`);
  await git("add", "--all");
  await git("commit", "--quiet", "--allow-empty", "--message", `Revision ${revision}`);
  return command;
}
