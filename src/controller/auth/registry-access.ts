// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * What a caller may do in the registry: a user as far as its policy lets them, a robot what was granted to it,
 * and the agent of a job pulls its job's artifact.
 */
import { type Caller, isGranted, mayDo } from "../../registry/policy/rights.ts";
import type { Access, RegistryAction } from "../../registry/routes/call.ts";
import type { ControllerDeps } from "../ports.ts";
import { BASIC_CHALLENGE, bearerChallenge, type RegistryAuth } from "./challenge.ts";
import { describeIdentity, type Identity } from "./identity.ts";
import { mayJobPull } from "./job-artifact.ts";
import { covers, type Scope } from "./scope.ts";

export interface RegistryCaller {
  readonly identity: Identity;
  readonly address: string;
  /** Null: the credentials themselves were shown. */
  readonly scopes: readonly Scope[] | null;
  /** Where the client reached us. */
  readonly origin: string;
  /** Decides for a job: the registry asks by repository only. */
  readonly path: string;
}

export interface RegistrySettings {
  readonly anonymousPull: boolean;
  readonly registryAuth: RegistryAuth;
}

type Rights = (action: RegistryAction, repository: string) => boolean;

export async function registryAccess(
  caller: RegistryCaller,
  settings: RegistrySettings,
  deps: ControllerDeps,
): Promise<Access> {
  const { identity, address, scopes, origin } = caller;
  const rights = await rightsOf(identity, caller.path, settings, deps);
  const isCovered: Rights = (action, name) => scopes === null || covers(scopes, action, name);
  return {
    identity: describeIdentity(identity),
    address,
    may: (action, name) =>
      isCovered(action, name) && (rights(action, name) || (scopes !== null && name === "")),
    mayWithScope: (action, name) => scopes !== null && rights(action, name),
    sees: (name) => rights("pull", name),
    challenge(wanted) {
      if (settings.registryAuth === "basic" && scopes === null) return BASIC_CHALLENGE;
      // To nobody it says "log in" where a larger token for nobody would not do.
      const wouldDo =
        scopes !== null && wanted.every((each) => rights(each.action, each.repository));
      return bearerChallenge(origin, wanted, wouldDo ? "insufficient_scope" : null);
    },
    ...(identity.kind !== "job" && { limitedAs: limitedAs(identity, address) }),
  };
}

/** Whose requests count together against the policy's rate limit. */
export function limitedAs(identity: Identity, address: string): string {
  return identity.kind === "anonymous" ? `address ${address}` : describeIdentity(identity);
}

/** What somebody may do now, whatever their token was asked for. */
export async function rightsOf(
  identity: Identity,
  path: string,
  { anonymousPull }: Pick<RegistrySettings, "anonymousPull">,
  deps: ControllerDeps,
): Promise<Rights> {
  const byPolicy =
    (user: Caller): Rights =>
    (action, repository) => {
      if (action === "list" || repository === "") return user.role !== "anonymous";
      const rules = { policy: deps.registry.policy(), defaults: { anonymousPull } };
      return mayDo(rules, user, action, repository);
    };
  switch (identity.kind) {
    case "anonymous":
      return byPolicy({ role: "anonymous", name: null });
    case "user":
      return byPolicy(identity);
    case "robot":
      return (action, repository) =>
        action === "list" || repository === "" || isGranted(identity.grants, action, repository);
    case "job": {
      const isAllowed = await mayJobPull(identity.job, path, deps);
      return (action) => isAllowed && action === "pull";
    }
  }
}
