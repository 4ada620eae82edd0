// SPDX-License-Identifier: AGPL-3.0-or-later
import { Ajv, type ErrorObject, type ValidateFunction } from "ajv";
import RECIPE_SCHEMA from "../../schemas/recipe.schema.json" with { type: "text" };
import type { Finding } from "../base/findings.ts";
import { stringAt } from "../base/json.ts";

/** The recipe's contract as it is published, byte for byte: also what goes onto a task ISO. */
export const RECIPE_SCHEMA_TEXT: string = String(RECIPE_SCHEMA);

export interface RecipeSchema {
  /** The schema's `$id`. */
  readonly id: string;
  /** Everything in the document that breaks the schema; empty when nothing does. */
  readonly check: (document: unknown) => Finding[];
}

/**
 * Compiles a draft-07 schema in ajv's strict mode.
 *
 * @throws {SyntaxError} when the text is not JSON or not such a schema.
 */
export function compileRecipeSchema(text: string): RecipeSchema {
  let validate: ValidateFunction;
  let schema: unknown;
  try {
    schema = JSON.parse(text);
    // verbose: findings quote the description of the rule and the value that broke it.
    validate = new Ajv({ strict: true, allErrors: true, verbose: true }).compile(
      schema as Record<string, unknown>,
    );
  } catch (error) {
    throw new SyntaxError("The recipe schema cannot be compiled", { cause: error });
  }
  return {
    id: stringAt(schema, "$id") ?? "",
    check: (document) => (validate(document) ? [] : findingsOf(validate.errors ?? [], document)),
  };
}

/** ajv reports a failed `if` or `anyOf` next to each failed branch: one helpful line is kept of them. */
function findingsOf(errors: readonly ErrorObject[], document: unknown): Finding[] {
  const target = stringAt(document, "task_target") ?? "this target";
  const groups = errors.filter((e) => e.keyword === "anyOf" || e.keyword === "oneOf");
  const isBranch = (e: ErrorObject) =>
    groups.some((g) => g !== e && e.schemaPath.startsWith(`${g.schemaPath}/`));
  return errors.filter((e) => e.keyword !== "if" && !isBranch(e)).map((e) => findingOf(e, target));
}

function findingOf(error: ErrorObject, target: string): Finding {
  const { keyword, instancePath } = error;
  switch (keyword) {
    case "required": {
      const name = String(error.params.missingProperty);
      const by = instancePath === "" && name !== "task_target" ? ` by ${target}` : "";
      return {
        path: `${instancePath}/${escapePointer(name)}`,
        code: keyword,
        message: `"${name}" is required${by}`,
      };
    }
    case "additionalProperties": {
      const name = String(error.params.additionalProperty);
      return {
        path: `${instancePath}/${escapePointer(name)}`,
        code: keyword,
        message: `there is no field "${name}" here`,
      };
    }
    case "anyOf":
      // The only anyOf at the root: ESXi's answer file under either of its names.
      return { path: "/ks_cfg", code: "required", message: `"ks_cfg" is required by ${target}` };
    default:
      return { path: instancePath, code: keyword, message: messageOf(error) };
  }
}

function messageOf(error: ErrorObject): string {
  const rule = stringAt(error.parentSchema, "description");
  const limit = String(error.params.limit);
  switch (error.keyword) {
    case "minLength":
    case "minItems":
      return "this is empty";
    case "maxLength":
      return `this is longer than ${limit} characters`;
    case "maxItems":
      return `these are more than ${limit}`;
    case "type":
      return `this is not of type ${String(error.params.type)}`;
    case "enum":
      return `${quote(error.data)} is none of ${[error.schema].flat().join(", ")}`;
    default:
      return `${quote(error.data)} does not fit: ${rule ?? error.message ?? error.keyword}`;
  }
}

const EXCERPT_CHARS = 60;

function quote(value: unknown): string {
  // A URL may have a password in front of its host.
  const text = (JSON.stringify(value) ?? String(value)).replace(/\/\/[^/\s]*@/g, "//…@");
  return text.length > EXCERPT_CHARS ? `${text.slice(0, EXCERPT_CHARS)}…` : text;
}

/** RFC 6901, section 3. */
function escapePointer(name: string): string {
  return name.replaceAll("~", "~0").replaceAll("/", "~1");
}
