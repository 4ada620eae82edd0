// SPDX-License-Identifier: AGPL-3.0-or-later
import { ProvError } from "../../base/errors.ts";
import { renderFindings } from "../../base/findings.ts";
import { parsePolicy } from "../../registry/policy/parse-policy.ts";
import { connect } from "../api-client.ts";
import { type Cli, type Command, command, group, print } from "../command.ts";
import { nameOf, readText } from "../files.ts";

const PATH = "/api/v1/registry/policy";
/** What `show` writes above the policy, so that `set` replaces the version that was edited and no other. */
const VERSION = /^# version: ([0-9a-f]+)$/m;

interface FileArgs {
  file: string;
  json?: boolean;
}

export function registryPolicyCommand(cli: Cli): Command {
  return group("policy", "who may do what in the registry, what is kept and what must be signed", [
    command<{ json?: boolean }>({
      command: "show",
      describe: "print the policy in force",
      run: async ({ json }) => {
        const api = await connect(cli);
        const { document, version } = await api.read(PATH);
        print(cli, json, document, () => `# version: ${version}\n${toYaml(document)}`);
      },
    }),
    command<FileArgs>({
      command: "set <file>",
      describe: 'replace the policy, YAML or JSON; "-" for stdin',
      run: async ({ file, json }) => {
        const { document, version } = await readPolicy(cli, file);
        const api = await connect(cli);
        const headers = version === undefined ? {} : { "if-match": `"${version}"` };
        const stored = await api.call("PUT", PATH, document, headers);
        print(cli, json, stored, () => "Policy set");
      },
    }),
    command<FileArgs>({
      command: "check <file>",
      describe: "say what is wrong with a policy, and set nothing",
      run: async ({ file, json }) => {
        const { document } = await readPolicy(cli, file);
        print(cli, json, document, () => `${nameOf(file)} is a valid policy`);
      },
    }),
  ]);
}

function toYaml(document: unknown): string {
  return Bun.YAML.stringify(document, null, 2);
}

/** @throws {ProvError} `USAGE` with everything that is wrong. */
async function readPolicy(cli: Cli, file: string) {
  const text = await readText(file, cli.terminal);
  const trying = `Cannot use the policy in ${nameOf(file)}`;
  let document: unknown;
  try {
    document = Bun.YAML.parse(text);
  } catch (cause) {
    throw new ProvError(`${trying}: it is neither YAML nor JSON`, { code: "USAGE", cause });
  }
  const { findings } = parsePolicy(document);
  if (findings.length > 0) {
    throw new ProvError(`${trying}:\n${renderFindings(findings).replace(/^/gm, "  ")}`, {
      code: "USAGE",
    });
  }
  return { document, version: VERSION.exec(text)?.[1] };
}
