// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * Scopes of the registry's tokens, as distribution's "Token Scope Documentation" writes them:
 * `repository:os/debian:pull,push`, `registry:catalog:*`.
 */
import { stringAt } from "../../base/json.ts";
import type { ContentAction } from "../../registry/policy/rights.ts";
import { isRepository } from "../../registry/reference.ts";
import type { RegistryAction, Wanted } from "../../registry/routes/call.ts";

export type Scope =
  | {
      readonly type: "repository";
      readonly name: string;
      readonly actions: readonly ContentAction[];
    }
  | { readonly type: "registry"; readonly name: "catalog"; readonly actions: readonly ["*"] };

const CATALOG: Scope = { type: "registry", name: "catalog", actions: ["*"] };
const ACTIONS: readonly ContentAction[] = ["pull", "push", "delete"];
/** No client asks for more at once, and a token travels in a header, which servers take up to 16 KiB of. */
const SCOPES_MAX = 20;

/**
 * Reads what a client asks for: several parameters, each of which may have several scopes. What is no
 * scope, or one of something that is not here, is as if it were not asked for: nothing is granted for it.
 */
export function parseScopes(texts: readonly string[]): readonly Scope[] {
  const words = texts.flatMap((text) => text.split(" ")).filter((word) => word !== "");
  return words.slice(0, SCOPES_MAX).flatMap((word) => parseScope(word) ?? []);
}

function parseScope(word: string): Scope | undefined {
  if (word === "registry:catalog:*") return CATALOG;
  const [, name = "", list = ""] = /^repository:([^:]+):([a-z,*]*)$/.exec(word) ?? [];
  if (!isRepository(name)) return undefined;
  const asked = list.split(",");
  const actions = ACTIONS.filter((action) => asked.includes(action) || asked.includes("*"));
  return { type: "repository", name, actions };
}

/** Scopes as a token has them. @returns undefined when they are not such as we write. */
export function readScopes(value: unknown): readonly Scope[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const words = value.map((scope: unknown) => {
    const actions: unknown = Object(scope).actions;
    return `${stringAt(scope, "type")}:${stringAt(scope, "name")}:${Array.isArray(actions) ? actions.join(",") : ""}`;
  });
  const scopes = words.map(parseScope).filter((scope) => scope !== undefined);
  return scopes.length === value.length ? scopes : undefined;
}

export function covers(
  scopes: readonly Scope[],
  action: RegistryAction,
  repository: string,
): boolean {
  if (action === "list") return scopes.includes(CATALOG);
  // Any token shows that this is a registry.
  if (repository === "") return true;
  return scopes.some(
    (scope) =>
      scope.type === "repository" && scope.name === repository && scope.actions.includes(action),
  );
}

/** What a challenge asks a client to ask for; "" for nothing in particular. */
export function scopeText(wanted: readonly Wanted[]): string {
  const words = wanted.flatMap(({ action, repository }) => {
    if (action === "list") return ["registry:catalog:*"];
    // Whoever pushes looks first what is there.
    return repository === ""
      ? []
      : [`repository:${repository}:${action === "push" ? "pull,push" : action}`];
  });
  return words.join(" ");
}
