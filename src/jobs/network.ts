// SPDX-License-Identifier: AGPL-3.0-or-later
/**
 * @module
 * The network configuration of a server while it runs the maintenance OS: part of the server's record
 * and of the job's envelope. Without one the maintenance OS uses DHCP and router advertisements.
 */

export interface NetworkConfig {
  readonly interfaces: readonly NetworkInterface[];
  /** Addresses of name servers. */
  readonly dns?: readonly string[];
  readonly search?: readonly string[];
}

export type NetworkInterface = EthernetInterface | BondInterface | VlanInterface;

interface Addressing {
  /** Kernel name of the link that is made, or the one given to the matched NIC. */
  readonly name: string;
  readonly mtu?: number;
  /** Ask DHCP (v4 and v6) on this link. */
  readonly dhcp?: boolean;
  /** Addresses with prefix length: `192.0.2.10/24`, `2001:db8::10/64`. */
  readonly addresses?: readonly string[];
  readonly routes?: readonly Route[];
}

export interface EthernetInterface extends Addressing {
  readonly type: "ethernet";
  /** Lower case with colons. NICs are only ever matched by MAC. */
  readonly mac: string;
}

export interface BondInterface extends Addressing {
  readonly type: "bond";
  /** MACs of the member NICs. */
  readonly members: readonly string[];
  readonly mode: "802.3ad" | "active-backup" | "balance-xor";
}

export interface VlanInterface extends Addressing {
  readonly type: "vlan";
  readonly id: number;
  /** Name of another interface in the list. */
  readonly link: string;
}

export interface Route {
  /** `default` or a prefix. */
  readonly to: string;
  readonly via: string;
}
