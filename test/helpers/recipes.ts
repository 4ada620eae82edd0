// SPDX-License-Identifier: AGPL-3.0-or-later
import fc from "fast-check";
import { renderFindings } from "../../src/base/findings.ts";
import { recipeFrom } from "../../src/recipe/parse.ts";
import type { Recipe } from "../../src/recipe/recipe.ts";

/** The recipe that a document is, or the reasons why it is none. */
export function recipeOf(document: unknown): Recipe {
  const { recipe, findings } = recipeFrom(document);
  if (recipe === undefined) throw new Error(renderFindings(findings));
  return recipe;
}

const size = fc.oneof(
  fc.integer({ min: 1, max: 4096 }).map((n) => `${n}M`),
  fc.integer({ min: 1, max: 64 }).map((n) => `${n}GiB`),
  fc.integer({ min: 1, max: 9_000_000_000 }).map((n) => `${n}`),
  fc.integer({ min: 1, max: 100 }).map((n) => `${n}%`),
);

const partition = fc.record(
  {
    size,
    type_guid: fc.constantFrom(
      "8300",
      "8200",
      "0700",
      "8302",
      "fd00",
      "e6d6d379f50744c2a23c238f2a3df928",
    ),
    format: fc.constantFrom("vfat", "ext4", "xfs", "btrfs", "ntfs", "swap", "raw"),
    label: fc.constantFrom("a", "b", "DATA", "cidata", "Größe"),
    mountpoint: fc.constantFrom("/", "/home", "/var", "/var/lib", "/boot", "/srv/a.b"),
  },
  { requiredKeys: ["size", "type_guid"] },
);

/** Documents as the schema allows them, sound or not: about a third passes the semantic checks. */
export const linuxDocument: fc.Arbitrary<Record<string, unknown>> = fc
  .record({
    root: fc.record({ size, format: fc.constantFrom("ext4", "xfs", "btrfs") }),
    others: fc.array(partition, { maxLength: 5 }),
    espFirst: fc.boolean(),
    userData: fc.option(fc.string({ minLength: 1, maxLength: 2000 }), { nil: undefined }),
    disk: fc.constantFrom("/dev/sda", "/dev/nvme0n1", "/dev/disk/by-id/ata-X"),
  })
  .map(({ root, others, espFirst, userData, disk }) => {
    const esp = { size: "512M", type_guid: "ef00", format: "vfat" };
    const rest = [{ type_guid: "8300", ...root }, ...others];
    return {
      task_target: "install-linux.target",
      target_disk: disk,
      oci_url: "debian:13",
      partition_layout: espFirst ? [esp, ...rest] : [...rest, esp],
      ...(userData !== undefined && { user_data: userData }),
    };
  });
