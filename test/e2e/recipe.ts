// SPDX-License-Identifier: AGPL-3.0-or-later

/** A key that nobody has the other half of. */
const SSH_KEY =
  "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f lab@prov";

/** SHA-256 of the key as cloud-init prints it on the console once it has authorised it. */
export const SSH_KEY_SHA256 =
  "66:40:2c:94:68:c5:89:41:dd:19:ff:d6:50:bf:2b:42:f9:22:6f:83:d3:bd:06:ad:51:5d:0e:51:04:a7:70:20";

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
