// SPDX-License-Identifier: AGPL-3.0-or-later
import { Hono } from "hono";
import { stringAt } from "../../base/json.ts";
import { createKeyedLock } from "../../base/keyed-lock.ts";
import type { AuditAction } from "../../registry/audit/audit-event.ts";
import { ROLES, type User, type UserStore } from "../../store/store.ts";
import type { Authenticator } from "../auth/authenticator.ts";
import type { ControllerDeps } from "../ports.ts";
import { auditChange } from "./audit-change.ts";
import { DOCUMENT_LIMIT, readObject } from "./body.ts";
import type { Api, ApiContext } from "./context.ts";
import { invalidField, Refusal } from "./errors.ts";
import { toTime } from "./job-document.ts";

/** NIST SP 800-63B, 5.1.1.2: at least eight characters, and no rules about which. */
const PASSWORD_MIN_CHARS = 8;
const NAME = /^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/;

/** `/api/v1/users`, for administrators. */
export function userRoutes(authenticator: Authenticator, deps: ControllerDeps): Hono<Api> {
  const { users } = deps.store;
  const log = (c: ApiContext, action: AuditAction, reference: string) =>
    auditChange(c, deps, action, reference);
  const removing = createKeyedLock();
  return new Hono<Api>()
    .get("/", async (c) => c.json({ users: (await users.list()).map(toUserDocument) }))
    .post("/", async (c) => {
      const { document } = await readObject(c.req.raw, DOCUMENT_LIMIT);
      const name = stringAt(document, "name") ?? "";
      if (!NAME.test(name)) throw invalidField("/name", "format", "must be a plain name");
      const role = ROLES.find((r) => r === document.role);
      if (role === undefined) {
        throw invalidField("/role", "enum", `must be one of ${ROLES.join(", ")}`);
      }
      await users.add(name, role, parsePassword(document), deps.now());
      await log(c, "add-user", name);
      return c.json({ name, role }, 201);
    })
    .put("/:name/password", async (c) => {
      const { document } = await readObject(c.req.raw, DOCUMENT_LIMIT);
      const name = c.req.param("name");
      if (!(await users.setPassword(name, parsePassword(document), deps.now()))) {
        throw unknown(name);
      }
      authenticator.forget();
      await log(c, "set-password", name);
      return c.body(null, 204);
    })
    .delete("/:name", async (c) => {
      const name = c.req.param("name");
      await removing.run("", () => remove(name, users));
      authenticator.forget();
      await log(c, "remove-user", name);
      return c.body(null, 204);
    });
}

/** One at a time: two administrators who remove each other would leave nobody who may add one. */
async function remove(name: string, users: UserStore): Promise<void> {
  const others = (await users.list()).filter((user) => user.name !== name);
  if (!others.some((user) => user.role === "admin")) {
    throw new Refusal("conflict", "The last administrator cannot be removed");
  }
  if (!(await users.remove(name))) throw unknown(name);
}

function toUserDocument(user: User) {
  return { name: user.name, role: user.role, created_at: toTime(user.createdAt) };
}

function parsePassword(document: unknown): string {
  const password = stringAt(document, "password") ?? "";
  if (password.length >= PASSWORD_MIN_CHARS) return password;
  throw invalidField("/password", "minLength", `must have ${PASSWORD_MIN_CHARS} characters`);
}

const unknown = (name: string): Refusal => new Refusal("not_found", `There is no user "${name}"`);
