// SPDX-License-Identifier: AGPL-3.0-or-later
/** R59: the tables of docs/registry.md are what the code has; its commands are run by test/e2e/registry-docs.e2e.ts. */
import { expect, test } from "bun:test";
import { ARTIFACT_KINDS } from "../../src/registry/client/media-types.ts";
import { readDocument, tableUnder } from "./readme.ts";

const DOCUMENT = await readDocument("docs/registry.md");

test("fields of the policy (R51)", async () => {
  const schema = JSON.parse(await readDocument("schemas/registry-policy.schema.json"));
  const { rules, ...top } = schema.properties;
  const rule = rules.items.$ref === undefined ? rules.items : schema.definitions.rule;
  const fields = [...Object.keys(top), ...Object.keys(rule.properties)];
  const known = fields.filter((name) => name !== "$schema").sort();
  expect(
    tableUnder(DOCUMENT, "Policy")
      .map(([name]) => name)
      .sort(),
  ).toEqual(known);
});

test("kinds of artifacts", () => {
  const kinds = Object.entries(ARTIFACT_KINDS);
  expect(tableUnder(DOCUMENT, "Media types")).toEqual(
    kinds.map(([name, { artifactType, about }]) => [name, artifactType, about]),
  );
});
