// SPDX-License-Identifier: AGPL-3.0-or-later
import { assertNever } from "../base/never.ts";
import { formatDuration } from "../base/units.ts";
import type { Action, Plan } from "./action.ts";

/** What `prov plan` prints: the actions in order, close enough to a script to be followed by hand. */
export function renderPlan(plan: Plan): string {
  if (plan.actions.length === 0) return `## ${plan.step}: nothing to do\n`;
  const n = plan.actions.length;
  const head = `## ${plan.step}: ${n} ${n === 1 ? "action" : "actions"}\n`;
  return [
    head,
    ...plan.actions.map((a, i) => `# ${i + 1}. ${a.why}${notes(a)}\n${body(a)}\n`),
  ].join("\n");
}

function notes(action: Action): string {
  const destroys = action.kind === "run" ? (action.destroys ?? []) : [];
  const erased = destroys.length > 0 ? ` [erases ${destroys.join(", ")}]` : "";
  const within = "timeoutMs" in action ? ` (within ${formatDuration(action.timeoutMs)})` : "";
  return `${erased}${within}`;
}

function body(action: Action): string {
  switch (action.kind) {
    case "run":
      return action.argv.map(shellQuote).join(" ");
    case "mkdir":
      return `mkdir --parents ${shellQuote(action.path)}`;
    case "write":
      return `install -D -m ${octal(action.mode)} /dev/stdin ${shellQuote(action.path)} <<'EOF'\n${action.text}${action.text === "" || action.text.endsWith("\n") ? "" : "\n"}EOF`;
    case "copy": {
      const to = `-m ${octal(action.mode)} ${action.decode === "base64" ? "/dev/stdin" : shellQuote(action.from)} ${shellQuote(action.to)}`;
      const decode = action.decode === "base64" ? `base64 -d ${shellQuote(action.from)} | ` : "";
      return `${decode}install -D ${to}`;
    }
    case "unpack":
      return `unpack ${action.artifact} into ${shellQuote(action.into)}`;
    case "require":
      return `test -e ${action.anyOf.map((p) => `${action.root}/${p}`).join(" -o -e ")} # else: ${action.missing}`;
    default:
      return assertNever(action);
  }
}

const octal = (mode: number): string => mode.toString(8).padStart(4, "0");

/** For display only: prov itself never hands a command line to a shell. */
export function shellQuote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
