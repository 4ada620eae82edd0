// SPDX-License-Identifier: AGPL-3.0-or-later
/** A systemd unit or Quadlet: the values of each `Section.Key`, in the order of the file. */
export type UnitFile = ReadonlyMap<string, readonly string[]>;

export function parseUnit(text: string): UnitFile {
  const values = new Map<string, string[]>();
  let section = "";
  for (const line of text.split("\n")) {
    if (line === "" || line.startsWith("#")) continue;
    const header = /^\[(.+)\]$/.exec(line);
    if (header !== null) {
      section = header[1] ?? "";
      continue;
    }
    const equals = line.indexOf("=");
    if (equals < 0) throw new SyntaxError(`Not a setting of a unit: ${line}`);
    const key = `${section}.${line.slice(0, equals)}`;
    values.set(key, [...(values.get(key) ?? []), line.slice(equals + 1)]);
  }
  return values;
}

/** The words of all values of a key: `Requires=a b` and `Requires=c` are `["a", "b", "c"]`. */
export function words(unit: UnitFile, key: string): string[] {
  return (unit.get(key) ?? []).flatMap((value) => value.split(" ")).filter((word) => word !== "");
}
