// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * README.md and what lies in docs/ as data: code blocks, tables and generated sections, for the tests that hold
 * them to the code.
 */
import { join } from "node:path";

export const ROOT = join(import.meta.dir, "../..");
const PATH = join(ROOT, "README.md");

export interface Block {
  /** The word after the opening fence: `sh`, `text`, `json`, `yaml`. */
  readonly language: string;
  readonly text: string;
  /** The nearest headings of second and third level above. */
  readonly section: string;
  readonly subsection: string;
}

export const readReadme = (): Promise<string> => Bun.file(PATH).text();

/** Paths of all documents for users, from the project's root. */
export async function documents(): Promise<string[]> {
  const others = await Array.fromAsync(new Bun.Glob("docs/**/*.md").scan({ cwd: ROOT }));
  return ["README.md", ...others.sort()];
}

/** @param path from the project's root. */
export const readDocument = (path: string): Promise<string> => Bun.file(join(ROOT, path)).text();

/** Every fenced block, in order. */
export function blocksOf(readme: string): Block[] {
  const blocks: Block[] = [];
  let section = "";
  let subsection = "";
  const parts =
    /^## (?<h2>.+)$|^### (?<h3>.+)$|^```(?<language>\w*)\n(?<text>(?:(?!```).*\n)*?)```$/gm;
  for (const match of readme.matchAll(parts)) {
    const { h2, h3, language = "", text = "" } = match.groups ?? {};
    if (h2 !== undefined) [section, subsection] = [h2, ""];
    else if (h3 !== undefined) subsection = h3;
    else blocks.push({ language, text, section, subsection });
  }
  return blocks;
}

/** The cells of the first table after a heading, without its own heading row and without code quotes. */
export function tableUnder(readme: string, heading: string): string[][] {
  const lines = readme.split("\n");
  const start = lines.findIndex((line) => /^##+ /.test(line) && line.endsWith(` ${heading}`));
  if (start === -1) throw new Error(`README has no heading "${heading}"`);
  const first = lines.findIndex((line, i) => i > start && line.startsWith("|"));
  const end = lines.findIndex((line, i) => i > first && !line.startsWith("|"));
  return lines.slice(first + 2, end).map((line) =>
    line
      .slice(1, -1)
      .split("|")
      .map((cell) => cell.trim().replaceAll("`", "")),
  );
}

/** A table in Markdown; the first row is its heading. */
export function renderTable(rows: readonly (readonly string[])[]): string {
  const [head = [], ...body] = rows;
  return [head, head.map(() => "---"), ...body].map((row) => `| ${row.join(" | ")} |`).join("\n");
}

/**
 * The text between `<!-- generated: name -->` and `<!-- end -->`. With `UPDATE_GOLDEN=1` it is first replaced
 * by `wanted`.
 */
export async function generatedSection(name: string, wanted: string): Promise<string> {
  const readme = await readReadme();
  const open = `<!-- generated: ${name} -->\n`;
  const start = readme.indexOf(open) + open.length;
  const end = readme.indexOf("<!-- end -->", start);
  if (start < open.length || end === -1) throw new Error(`README has no section "${name}"`);
  if (process.env.UPDATE_GOLDEN !== "1") return readme.slice(start, end).trimEnd();
  await Bun.write(PATH, `${readme.slice(0, start)}${wanted}\n${readme.slice(end)}`);
  return wanted;
}

/** The documents that a shell block writes with `cat > name <<'EOF'`, by name. */
export function hereDocuments(script: string): Record<string, string> {
  const found = script.matchAll(/^cat > (\S+) <<'EOF'\n((?:(?!EOF$).*\n)*)EOF$/gm);
  return Object.fromEntries(Array.from(found, ([, name = "", text = ""]) => [name, text]));
}

/** The commands of a shell block that run prov: their arguments, without redirections and quotes. */
export function provCommands(script: string): string[][] {
  const joined = script
    .replaceAll(/^cat > .* <<'EOF'\n(?:(?!EOF$).*\n)*EOF$/gm, "")
    .replaceAll(/\\\n\s*/g, "");
  // Arguments hold no pipes, semicolons or blanks but inside of "$(…)", which is no prov command here.
  const simple = joined.replaceAll(/"\$\(lab \w+\)"/g, "VALUE");
  return simple
    .split(/[\n|;)]/)
    .map((part) => /(?:^|\s|\()(?:dist\/)?prov\s+(?<arguments>.+)$/.exec(part)?.groups?.arguments)
    .filter((text) => text !== undefined)
    .map((text) => text.trim().split(/\s+/));
}
