import { spawn } from "node:child_process";

const SIGNALS = ["SIGTERM", "SIGINT"];

/**
 * Runs a program in a process group of its own, copying its output to our stderr. The group is
 * killed when the time is up or when we are told to end. Gives {code, output, timedOut}.
 */
export function run([program, ...args], { cwd, env, timeoutSeconds }) {
  return new Promise((resolve, reject) => {
    const stdio = ["ignore", "pipe", "pipe"];
    const child = spawn(program, args, { cwd, env, stdio, detached: true });
    const chunks = [];
    let timedOut = false;
    const stop = () => {
      try {
        process.kill(-child.pid, "SIGKILL");
      } catch {
        // It has ended by itself meanwhile.
      }
    };
    const timer = setTimeout(() => {
      timedOut = true;
      stop();
    }, timeoutSeconds * 1000);
    for (const signal of SIGNALS) process.on(signal, stop);
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (chunk) => {
        chunks.push(chunk);
        process.stderr.write(chunk);
      });
    }
    child.once("error", reject);
    child.once("close", (code) => {
      clearTimeout(timer);
      for (const signal of SIGNALS) process.removeListener(signal, stop);
      resolve({ code, output: Buffer.concat(chunks).toString("utf8"), timedOut });
    });
  });
}
