// SPDX-License-Identifier: AGPL-3.0-or-later
import { main } from "../../src/cli/main.ts";
import { FakeTerminal } from "../cli/fake-terminal.ts";

export interface CommandHelp {
  /** As it is typed: `prov server add <serial>`. */
  readonly usage: string;
  readonly about: string;
  /** Names of its own options, without dashes. */
  readonly options: readonly string[];
}

/** yargs' own: asked for help, it prints its script. */
const COMPLETION: CommandHelp = {
  usage: "prov completion",
  about: "print a completion script for your shell",
  options: [],
};

/** Every command that prov has, as its own help tells. */
export function allCommands(): Promise<CommandHelp[]> {
  return commandsBelow([]);
}

async function commandsBelow(words: readonly string[]): Promise<CommandHelp[]> {
  if (words[0] === "completion") return [COMPLETION];
  const text = await help(words);
  const actions = listedIn(text);
  if (actions.length === 0) return [commandFrom(text)];
  const commands: CommandHelp[] = [];
  for (const action of actions) commands.push(...(await commandsBelow(action)));
  return commands;
}

/** The fixed words of a usage: `prov server add <serial>` is `server`, `add`. */
export const wordsOf = (usage: string): string[] =>
  usage
    .split(" ")
    .slice(1)
    .filter((word) => /^[a-z]/.test(word));

async function help(words: readonly string[]): Promise<string> {
  const terminal = new FakeTerminal();
  const code = await main([...words, "--help"], terminal);
  if (code !== 0)
    throw new Error(`prov ${words.join(" ")} --help: ${terminal.errLines.join("\n")}`);
  return terminal.outLines.join("\n");
}

/** The words of the commands under "Commands:". Both columns may be wrapped; the words are on the first line. */
function listedIn(text: string): string[][] {
  const list = /^Commands:\n((?: .*\n)+)/m.exec(text)?.[1] ?? "";
  const usages = Array.from(list.matchAll(/^ {2}(prov .*?)(?: {2}.*)?$/gm), ([, usage]) => usage);
  return usages.map((usage = "") => wordsOf(usage));
}

/** A command's own help: its usage, a blank line, what it does, a blank line, its options. */
function commandFrom(text: string): CommandHelp {
  const [usage = "", about = ""] = text.split("\n\n").map((part) => part.replaceAll(/\s+/g, " "));
  return { usage, about, options: optionsOf(text) };
}

const GLOBAL = ["help", "json", "version"];

function optionsOf(text: string): string[] {
  const names = Array.from(text.matchAll(/^ +--([\w-]+)/gm), ([, name = ""]) => name);
  return names.filter((name) => !GLOBAL.includes(name));
}
