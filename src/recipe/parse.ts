// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Finding } from "../base/findings.ts";
import { formatBytes } from "../base/units.ts";
import { checkRecipe } from "./check.ts";
import { PAYLOAD_LIMITS } from "./limits.ts";
import { partitionTypeGuid } from "./partition-type.ts";
import type { Format, PartitionSpec, Recipe, Wipe } from "./recipe.ts";
import { compileRecipeSchema, RECIPE_SCHEMA_TEXT, type RecipeSchema } from "./schema.ts";
import { utf8Length } from "./utf8.ts";

/** A recipe that may be used; or none, and everything that is wrong with the document. */
export type ParsedRecipe =
  | { readonly recipe: Recipe; readonly findings: readonly [] }
  | { readonly recipe: undefined; readonly findings: readonly Finding[] };

const OWN_SCHEMA = compileRecipeSchema(RECIPE_SCHEMA_TEXT);

/**
 * The only way a document becomes a {@link Recipe}: JSON, then the schema, then what no schema can state.
 * A bad recipe is an expected outcome, so it is returned and not thrown.
 *
 * @param schema the one that came with the recipe; prov's own when it is left out.
 */
export function parseRecipe(text: string, schema: RecipeSchema = OWN_SCHEMA): ParsedRecipe {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    // The parser's own message may quote the text, and a recipe holds secrets.
    return invalid([{ path: "", code: "json", message: "the recipe is not JSON" }]);
  }
  return recipeFrom(document, schema);
}

/** {@link parseRecipe} for a document that has been read from JSON already. */
export function recipeFrom(document: unknown, schema: RecipeSchema = OWN_SCHEMA): ParsedRecipe {
  const broken = schema.check(document);
  if (broken.length > 0) return invalid(broken);
  const wire = document as WireRecipe;
  const refused = [...checkPayloads(wire), ...checkTypes(wire)];
  if (refused.length > 0) return invalid(refused);
  const recipe = normalise(wire);
  const findings = checkRecipe(recipe);
  return findings.length > 0 ? invalid(findings) : { recipe, findings: [] };
}

const invalid = (findings: readonly Finding[]): ParsedRecipe => ({ recipe: undefined, findings });

/** What the schema has let through. */
interface WireRecipe {
  readonly task_target: string;
  readonly target_disk?: string;
  readonly oci_url?: string;
  readonly partition_layout?: readonly WirePartition[];
  readonly wipe?: Wipe;
  readonly user_data?: string;
  readonly unattend_xml?: string;
  readonly ks_cfg?: string;
  readonly "ks.cfg"?: string;
  readonly wim_index?: number | string;
  readonly firmware_url?: string;
  readonly firmware_sha256?: string;
  readonly power_after?: "on" | "off";
}

interface WirePartition {
  readonly size: string;
  readonly type_guid: string;
  readonly format?: Format;
  readonly label?: string;
  readonly mountpoint?: string;
}

function normalise(wire: WireRecipe): Recipe {
  return {
    taskTarget: wire.task_target,
    targetDisk: wire.target_disk ?? null,
    ociUrl: wire.oci_url ?? null,
    partitionLayout: wire.partition_layout?.map(partitionFrom) ?? null,
    wipe: wire.wipe ?? "always",
    userData: wire.user_data ?? null,
    unattendXml: wire.unattend_xml ?? null,
    ksCfg: wire.ks_cfg ?? wire["ks.cfg"] ?? null,
    wimIndex: wire.wim_index ?? 1,
    firmwareUrl: wire.firmware_url ?? null,
    firmwareSha256: wire.firmware_sha256?.toLowerCase() ?? null,
    powerAfter: wire.power_after ?? "on",
  };
}

function partitionFrom(wire: WirePartition): PartitionSpec {
  return {
    size: wire.size,
    typeGuid: partitionTypeGuid(wire.type_guid) ?? wire.type_guid,
    format: wire.format ?? "raw",
    label: wire.label ?? null,
    mountpoint: wire.mountpoint ?? null,
  };
}

/** The schema counts characters; the limits are bytes. */
function checkPayloads(wire: WireRecipe): Finding[] {
  const findings: Finding[] = [];
  const limit = (field: "user_data" | "unattend_xml" | "ks_cfg" | "ks.cfg") => {
    const most = PAYLOAD_LIMITS[field === "ks.cfg" ? "ks_cfg" : field];
    const length = utf8Length(wire[field] ?? "");
    if (length <= most) return;
    const message = `"${field}" may have ${formatBytes(most)}, this has ${length} bytes`;
    findings.push({ path: `/${field}`, code: "maxLength", message });
  };
  limit("user_data");
  limit("unattend_xml");
  limit("ks_cfg");
  limit("ks.cfg");
  if (wire.ks_cfg !== undefined && wire["ks.cfg"] !== undefined) {
    const message = '"ks.cfg" is another name of "ks_cfg": use one of them';
    findings.push({ path: "/ks.cfg", code: "duplicate", message });
  }
  return findings;
}

function checkTypes(wire: WireRecipe): Finding[] {
  return (wire.partition_layout ?? []).flatMap(({ type_guid }, i) => {
    if (partitionTypeGuid(type_guid) !== undefined) return [];
    const message = `sgdisk knows no type "${type_guid}": use a code of \`sgdisk --list-types\` or the type's GUID`;
    return [{ path: `/partition_layout/${i}/type_guid`, code: "unknown_type", message }];
  });
}
