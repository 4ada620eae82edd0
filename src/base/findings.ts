// SPDX-License-Identifier: AGPL-3.0-or-later

/** One thing found wrong with a document, with its place in it. */
export interface Finding {
  /** RFC 6901 JSON pointer; `""` is the document itself. */
  readonly path: string;
  /** What kind of rule was broken: an ajv keyword such as `pattern`, or a rule's own name. */
  readonly code: string;
  /** The rule and what was found instead, for people. */
  readonly message: string;
}

/** `/partition_layout/0/size: ...`, one line per finding. */
export function renderFindings(findings: readonly Finding[]): string {
  return findings.map((f) => `${f.path === "" ? "/" : f.path}: ${f.message}`).join("\n");
}
