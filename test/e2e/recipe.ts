// SPDX-License-Identifier: AGPL-3.0-or-later

export const SSH_KEY =
  "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHByb3YtbGFiLWtleS1ub3QtYS1yZWFsLW9uZS0x lab@prov";

/** The layout of the first example there ever was of a recipe: ESP, all the rest as root, config drive. */
export function linuxRecipe(options: {
  hostname: string;
  image: string;
  disk?: string;
  more?: Record<string, unknown>;
}): Record<string, unknown> {
  return {
    task_target: "install-linux.target",
    target_disk: options.disk ?? "/dev/vda",
    oci_url: options.image,
    partition_layout: [
      { size: "512M", type_guid: "ef00", format: "vfat" },
      { size: "100%", type_guid: "8300", format: "ext4" },
      { size: "16M", type_guid: "8300", format: "vfat", label: "cidata" },
    ],
    user_data: [
      "#cloud-config",
      `hostname: ${options.hostname}`,
      "users:",
      "  - name: admin",
      `    ssh_authorized_keys: ["${SSH_KEY}"]`,
      "",
    ].join("\n"),
    ...options.more,
  };
}
