// SPDX-License-Identifier: AGPL-3.0-or-later
import { fits, type Policy, type Principal, ruleFor } from "./policy.ts";

export type ContentAction = "pull" | "push" | "delete";

/** The least role that may; administrators always may. */
export const ROLE_RANK = { anonymous: 0, reader: 1, operator: 2, admin: 3 } as const;
export type Rank = keyof typeof ROLE_RANK;

/** Whom the policy's lists can name. */
export interface Caller {
  readonly role: Rank;
  /** Of a user; null for nobody in particular. */
  readonly name: string | null;
}

/** What counts where no list says otherwise. */
export interface Defaults {
  /** Whether everybody may pull. */
  readonly anonymousPull: boolean;
}

/** Whether somebody may do something with a repository: by the first rule that fits it. */
export function mayDo(
  { policy, defaults }: { readonly policy: Policy; readonly defaults: Defaults },
  caller: Caller,
  action: ContentAction,
  repository: string,
): boolean {
  if (caller.role === "admin") return true;
  const list = ruleFor(policy, repository)[action] ?? listByDefault(action, defaults);
  return list.some((principal) => isMeant(principal, caller));
}

function listByDefault(action: ContentAction, { anonymousPull }: Defaults): readonly Principal[] {
  if (action !== "pull") return ["operator"];
  return [anonymousPull ? "anonymous" : "reader"];
}

function isMeant(principal: Principal, { role, name }: Caller): boolean {
  if (principal.startsWith("user:")) return name !== null && principal === `user:${name}`;
  const least = Object.entries(ROLE_RANK).find(([each]) => each === principal)?.[1];
  return least !== undefined && ROLE_RANK[role] >= least;
}

/** What a robot account may do: exactly this. */
export interface Grant {
  /** Glob over repository names, as in rules. */
  readonly repositories: string;
  readonly actions: readonly ContentAction[];
}

export function isGranted(
  grants: readonly Grant[],
  action: ContentAction,
  repository: string,
): boolean {
  return grants.some(
    ({ repositories, actions }) => actions.includes(action) && fits(repositories, repository),
  );
}
