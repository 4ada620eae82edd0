// SPDX-License-Identifier: AGPL-3.0-or-later
import { Database } from "bun:sqlite";

const TABLES: Readonly<Record<string, string>> = {
  repositories: "name",
  blobs: "repository, digest, size",
  manifests:
    "repository, digest, media_type, size, subject, artifact_type, annotations, content_size",
  manifest_parts: "repository, digest, part",
  tags: "repository, tag, digest",
};

/** Everything that a catalog says of what is stored, but when. */
export function dumpCatalog(root: string): Record<string, unknown[]> {
  using db = new Database(`${root}/index.db`, { readonly: true });
  return Object.fromEntries(
    Object.entries(TABLES).map(([table, columns]) => [
      table,
      db.query(`select ${columns} from ${table} order by ${columns}`).all(),
    ]),
  );
}
