// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Finding } from "../base/findings.ts";
import { formatBytes } from "../base/units.ts";
import { checkPartition } from "./check-partition.ts";
import { configDriveCapacity, MOST_BYTES } from "./limits.ts";
import { DEFAULT_ESP_MOUNTPOINT, isConfigDrive, isEsp, linuxRoles } from "./linux-roles.ts";
import { PARTITION_TYPE } from "./partition-type.ts";
import type { PartitionSpec, Recipe } from "./recipe.ts";
import { parseSize } from "./size.ts";
import { utf8Length } from "./utf8.ts";

const LAYOUT = "/partition_layout";

/** The rules that a JSON schema cannot state. Returns every finding, not only the first; never throws. */
export function checkRecipe(recipe: Recipe): Finding[] {
  const layout = recipe.partitionLayout;
  if (layout === null) return [];
  const findings = [
    ...layout.flatMap((p, i) => checkPartition(p, `${LAYOUT}/${i}`)),
    ...checkSizes(layout),
    ...checkUnique(layout, "label", (p) => p.label?.toLowerCase() ?? null),
    ...checkUnique(layout, "mountpoint", (p) => p.mountpoint),
  ];
  switch (recipe.taskTarget) {
    case "install-linux.target":
      return [...findings, ...checkLinux(layout, recipe)];
    case "install-windows.target":
      return [...findings, ...checkWindows(layout)];
    default:
      return findings;
  }
}

function checkSizes(layout: readonly PartitionSpec[]): Finding[] {
  const sizes = layout.map((p) => parseSize(p.size));
  const findings: Finding[] = [];
  const rests = sizes.flatMap((s, i) => (s.kind === "rest" ? [i] : []));
  for (const i of rests.slice(1)) {
    findings.push({
      path: `${LAYOUT}/${i}/size`,
      code: "rest_twice",
      message: `only one partition can take the rest of the disk, and partition ${(rests[0] ?? 0) + 1} already does`,
    });
  }
  const percent = sizes.reduce((sum, s) => sum + (s.kind === "percent" ? s.percent : 0), 0);
  const most = rests.length > 0 ? 99 : 100;
  if (percent > most) {
    const why = rests.length > 0 ? " when another takes the rest" : "";
    findings.push({
      path: LAYOUT,
      code: "percent_sum",
      message: `percentages may add up to ${most}${why}; these add up to ${percent}`,
    });
  }
  const fixed = sizes.reduce((sum, s) => sum + (s.kind === "fixed" ? s.bytes : 0), 0);
  if (fixed > MOST_BYTES) {
    findings.push({
      path: LAYOUT,
      code: "too_large",
      message: `fixed sizes may add up to ${formatBytes(MOST_BYTES)}; these add up to ${formatBytes(fixed)}`,
    });
  }
  return findings;
}

function checkUnique(
  layout: readonly PartitionSpec[],
  field: "label" | "mountpoint",
  keyOf: (p: PartitionSpec) => string | null,
): Finding[] {
  const seen = new Map<string, number>();
  return layout.flatMap((p, i) => {
    const key = keyOf(p);
    if (key === null) return [];
    const first = seen.get(key);
    seen.set(key, first ?? i);
    if (first === undefined) return [];
    const message = `"${p[field]}" is already used by partition ${first + 1}`;
    return [{ path: `${LAYOUT}/${i}/${field}`, code: `duplicate_${field}`, message }];
  });
}

function checkLinux(layout: readonly PartitionSpec[], recipe: Recipe): Finding[] {
  const findings: Finding[] = [];
  const roles = linuxRoles(layout);
  const needs = (code: string, message: string) => findings.push({ path: LAYOUT, code, message });
  if (roles.esp === undefined) {
    needs("no_esp", "Linux needs an EFI system partition: type_guid ef00, format vfat");
  }
  if (roles.root === undefined) {
    needs(
      "no_root",
      'Linux needs a root: a partition with mountpoint "/", or one with ext4, xfs or btrfs',
    );
  }
  for (const [i, p] of layout.entries()) {
    if (isEsp(p) && i !== roles.esp) {
      const message = `there is one EFI system partition, and partition ${(roles.esp ?? 0) + 1} is it`;
      findings.push({ path: `${LAYOUT}/${i}/type_guid`, code: "esp_twice", message });
    }
  }
  return [
    ...findings,
    ...checkEspPlace(layout, roles.esp),
    ...checkConfigDrive(layout, recipe.userData),
  ];
}

/** Nothing else can be where the EFI system partition is mounted, or below, which is a FAT file system. */
function checkEspPlace(layout: readonly PartitionSpec[], esp: number | undefined): Finding[] {
  if (esp === undefined) return [];
  const place = layout[esp]?.mountpoint ?? DEFAULT_ESP_MOUNTPOINT;
  return layout.flatMap(({ mountpoint }, i) => {
    if (i === esp || mountpoint === null || !`${mountpoint}/`.startsWith(`${place}/`)) return [];
    const message = `${place} is where the EFI system partition is mounted`;
    return [{ path: `${LAYOUT}/${i}/mountpoint`, code: "mountpoint_of_esp", message }];
  });
}

function checkConfigDrive(layout: readonly PartitionSpec[], userData: string | null): Finding[] {
  const index = layout.findIndex(isConfigDrive);
  const spec = layout[index];
  if (spec === undefined || userData === null) return [];
  const size = parseSize(spec.size);
  if (size.kind !== "fixed" || utf8Length(userData) <= configDriveCapacity(size.bytes)) return [];
  return [
    {
      path: `${LAYOUT}/${index}/size`,
      code: "too_small",
      message: `user_data of ${formatBytes(utf8Length(userData))} does not fit into a config drive of ${formatBytes(size.bytes)}`,
    },
  ];
}

function checkWindows(layout: readonly PartitionSpec[]): Finding[] {
  const findings: Finding[] = [];
  const needs = (code: string, message: string) => findings.push({ path: LAYOUT, code, message });
  if (!layout.some(isEsp)) {
    needs("no_esp", "Windows needs an EFI system partition: type_guid ef00, format vfat");
  }
  if (!layout.some((p) => p.typeGuid === PARTITION_TYPE.microsoftReserved)) {
    needs("no_msr", "Windows needs a Microsoft reserved partition: type_guid 0c01, format raw");
  }
  if (!layout.some((p) => p.format === "ntfs")) {
    needs("no_windows", "Windows needs a partition with format ntfs");
  }
  return findings;
}
