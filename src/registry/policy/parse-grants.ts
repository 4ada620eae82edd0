// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Finding } from "../../base/findings.ts";
import { repositoryGlob } from "./parse-policy.ts";
import { list, object, text } from "./policy-fields.ts";
import type { ContentAction, Grant } from "./rights.ts";

const ACTIONS: readonly ContentAction[] = ["pull", "push", "delete"];

const GRANTS = list(
  object<Grant>({
    repositories: { name: "repositories", read: repositoryGlob },
    actions: {
      name: "actions",
      read: list(
        text((value) => ACTIONS.find((action) => action === value), "pull, push or delete"),
      ),
    },
  }),
);

/** What a robot is to be allowed. */
export function parseGrants(
  value: unknown,
):
  | { readonly grants: readonly Grant[]; readonly findings: readonly [] }
  | { readonly grants: undefined; readonly findings: readonly Finding[] } {
  const findings: Finding[] = [];
  const grants = GRANTS(value, { path: "/grants", findings });
  if (grants !== undefined && findings.length === 0) return { grants, findings: [] as const };
  return { grants: undefined, findings };
}
