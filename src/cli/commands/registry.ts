// SPDX-License-Identifier: AGPL-3.0-or-later
import { type Cli, type Command, group } from "../command.ts";
import { registryAuditCommand } from "./registry-audit.ts";
import { registryPolicyCommand } from "./registry-policy.ts";

export function registryCommand(cli: Cli): Command {
  return group("registry", "the controller's registry itself", [
    registryPolicyCommand(cli),
    registryAuditCommand(cli),
  ]);
}
