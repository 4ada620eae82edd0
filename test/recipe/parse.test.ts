// SPDX-License-Identifier: AGPL-3.0-or-later
import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { type Finding, renderFindings } from "../../src/base/findings.ts";
import { parseRecipe } from "../../src/recipe/parse.ts";
import { compileRecipeSchema, RECIPE_SCHEMA_TEXT } from "../../src/recipe/schema.ts";
import { expectGolden } from "../helpers/golden.ts";

const FIXTURES = `${import.meta.dir}/../fixtures/recipes`;
const names = (kind: string) => readdirSync(`${FIXTURES}/${kind}`).sort();
const text = (kind: string, name: string) => readFileSync(`${FIXTURES}/${kind}/${name}`, "utf8");

const LINUX = {
  task_target: "install-linux.target",
  target_disk: "/dev/sda",
  oci_url: "debian:13",
  partition_layout: [
    { size: "512M", type_guid: "EF00", format: "vfat" },
    { size: "100%", type_guid: "8300", format: "ext4" },
  ],
};
const parse = (document: unknown) => parseRecipe(JSON.stringify(document));

describe("parseRecipe()", () => {
  test.each(names("valid"))("accepts %s (R14)", (name) => {
    expect(parseRecipe(text("valid", name)).findings).toEqual([]);
  });

  test.each(names("invalid"))("refuses %s at the right place (R14, R15)", (name) => {
    const { recipe, findings } = JSON.parse(text("invalid", name));
    const found = parse(recipe);
    expect(found.recipe).toBeUndefined();
    expect(found.findings.map(({ path, code }) => ({ path, code }))).toEqual(findings);
  });

  test("says what is wrong in words", async () => {
    const report = names("invalid").map((name) => {
      const findings: readonly Finding[] = parse(JSON.parse(text("invalid", name)).recipe).findings;
      return `${name}\n${renderFindings(findings)}\n`;
    });
    await expectGolden("recipe/findings.txt", report.join("\n"));
  });

  test("resolves codes and aliases and fills in defaults", () => {
    expect(parse({ ...LINUX, "ks.cfg": "vmaccepteula" }).recipe).toEqual({
      taskTarget: "install-linux.target",
      targetDisk: "/dev/sda",
      ociUrl: "debian:13",
      partitionLayout: [
        {
          size: "512M",
          typeGuid: "c12a7328-f81f-11d2-ba4b-00a0c93ec93b",
          format: "vfat",
          label: null,
          mountpoint: null,
        },
        {
          size: "100%",
          typeGuid: "0fc63daf-8483-4772-8e79-3d69d8477de4",
          format: "ext4",
          label: null,
          mountpoint: null,
        },
      ],
      wipe: "always",
      userData: null,
      unattendXml: null,
      ksCfg: "vmaccepteula",
      wimIndex: 1,
      firmwareUrl: null,
      firmwareSha256: null,
      powerAfter: "on",
    });
  });

  test("quotes a URL without its password", () => {
    const [finding] = parse({
      task_target: "supermicro-update.target",
      firmware_url: "ftp://user:hunter2@files/bios.bin",
      firmware_sha256: "0".repeat(64),
    }).findings;
    expect(finding?.message).toStartWith('"ftp://…@files/bios.bin" does not fit');
  });

  test("is not JSON: says so without quoting what may be secret", () => {
    expect(parseRecipe('{"user_data": "hunter2').findings).toEqual([
      { path: "", code: "json", message: "the recipe is not JSON" },
    ]);
  });

  const MIB = 1_048_576;
  test.each([
    { field: "user_data", extra: {}, bytes: MIB },
    { field: "unattend_xml", extra: {}, bytes: MIB },
    { field: "ks_cfg", extra: {}, bytes: MIB / 4 },
    { field: "ks.cfg", extra: {}, bytes: MIB / 4 },
  ])("counts $field in bytes, not characters (R15)", ({ field, bytes }) => {
    const codes = (value: string) =>
      parse({ ...LINUX, [field]: value }).findings.map((f) => f.code);
    expect(codes("x".repeat(bytes))).toEqual([]);
    expect(codes("ü".repeat(bytes / 2))).toEqual([]);
    expect(codes(`${"ü".repeat(bytes / 2)}x`)).toEqual(["maxLength"]);
    expect(codes("x".repeat(bytes + 1))).toEqual(["maxLength"]);
  });

  test("takes 64 partitions (R15)", () => {
    const more = Array.from({ length: 62 }, () => ({ size: "1M", type_guid: "8300" }));
    const layout = [...LINUX.partition_layout, ...more];
    expect(parse({ ...LINUX, partition_layout: layout }).findings).toEqual([]);
  });

  test("accepts any $schema, such as that of an earlier release (R15)", () => {
    const recipe = { $schema: "https://prov.dev/schemas/recipe.v0.schema.json", ...LINUX };
    expect(parse(recipe).findings).toEqual([]);
  });
});

describe("compileRecipeSchema()", () => {
  test("keeps the published text byte for byte (R14)", async () => {
    const file = `${import.meta.dir}/../../schemas/recipe.schema.json`;
    expect(RECIPE_SCHEMA_TEXT).toBe(await Bun.file(file).text());
    expect(compileRecipeSchema(RECIPE_SCHEMA_TEXT).id).toBe(
      "https://prov.dev/schemas/recipe.v1.schema.json",
    );
  });

  test("checks a recipe against the schema that came with it", () => {
    const schema = compileRecipeSchema(
      JSON.stringify({ type: "object", required: ["asset"], properties: { asset: true } }),
    );
    expect(parseRecipe(JSON.stringify(LINUX), schema).findings).toEqual([
      { path: "/asset", code: "required", message: '"asset" is required by install-linux.target' },
    ]);
  });

  test.each(["", "[", '{"type": "objekt"}', '{"colour": "red"}'])(
    "throws SyntaxError for the schema %j",
    (broken) => {
      expect(() => compileRecipeSchema(broken)).toThrow(SyntaxError);
    },
  );
});
