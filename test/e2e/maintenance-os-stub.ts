// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * Stands in for prov inside the maintenance OS: says on the console what systemd asks of it and what it sees,
 * and fails at the step that the recipe on the task medium names. Compiled and booted by maintenance-os.e2e.ts.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";

const [command = "", ...rest] = process.argv.slice(2);

function say(what: string, value: unknown): void {
  process.stdout.write(`STUB ${JSON.stringify({ command, rest, what, value })}\n`);
}

function sh(...argv: string[]): string {
  const done = Bun.spawnSync(argv);
  return `${done.stdout}${done.stderr}`.trim();
}

/** Local addresses, in the hexadecimal of proc(5), of sockets in one of the states. */
function sockets(table: string, states: readonly string[]): string[] {
  const rows = readFileSync(`/proc/net/${table}`, "utf8").trim().split("\n").slice(1);
  return rows.flatMap((row) => {
    const [, local = "", , state = ""] = row.trim().split(/\s+/);
    return states.includes(state) ? [local] : [];
  });
}

if (command === "dispatch") {
  say("boot-device", readFileSync("/run/initramfs/boot-device", "utf8").trim());
  say("task.img", existsSync("/run/initramfs/live/task.img"));
  say("lockdown", readFileSync("/sys/kernel/security/lockdown", "utf8").trim());
  mkdirSync("/run/provision", { recursive: true });
  sh("mount", "--mkdir", "--options=ro", "--types=iso9660", "LABEL=TASK_0123", "/mnt/task");
  await Bun.write("/run/provision/recipe.json", Bun.file("/mnt/task/recipe.json"));
  say("start", sh("systemctl", "start", "--no-block", "install-linux.target"));
} else if (command === "step") {
  say("in-container", existsSync("/run/.containerenv"));
  const efivars = "/sys/firmware/efi/efivars";
  say("efi-variables", existsSync(efivars) && readdirSync(efivars).length > 0);
  const recipe: unknown = JSON.parse(readFileSync("/run/provision/recipe.json", "utf8"));
  if (recipe === rest[0]) process.exit(3);
} else if (command === "report") {
  say("service-result", process.env.MONITOR_SERVICE_RESULT ?? "");
  // 0A is LISTEN; 07 is what an unconnected UDP socket has.
  say("tcp", [...sockets("tcp", ["0A"]), ...sockets("tcp6", ["0A"])]);
  say("udp", [...sockets("udp", ["07"]), ...sockets("udp6", ["07"])]);
}
say("end", Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]));
