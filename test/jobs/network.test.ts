// SPDX-License-Identifier: AGPL-3.0-or-later
import { describe, expect, test } from "bun:test";
import { renderNetworkd } from "../../src/jobs/network.ts";
import { parseNetworkConfig } from "../../src/jobs/network-parse.ts";
import { expectGolden } from "../helpers/golden.ts";

const MAC = "52:54:00:00:00:01";
const MAC2 = "52:54:00:00:00:02";

const lan = { type: "ethernet", name: "lan", mac: MAC, addresses: ["192.0.2.10/24"] };
const bond = {
  type: "bond",
  name: "bond0",
  members: [MAC, MAC2],
  mode: "802.3ad",
  mtu: 9000,
};
const vlan = { type: "vlan", name: "prod", id: 42, link: "bond0", addresses: ["192.0.2.10/24"] };
const of = (...interfaces: unknown[]) => ({ interfaces });

describe("renderNetworkd()", () => {
  test.each([
    ["dhcp", { interfaces: [{ type: "ethernet", name: "lan", mac: MAC, dhcp: true }] }],
    [
      "static",
      {
        interfaces: [
          {
            ...lan,
            addresses: ["192.0.2.10/24", "2001:db8::10/64"],
            routes: [
              { to: "default", via: "192.0.2.1" },
              { to: "default", via: "fe80::1" },
              { to: "198.51.100.0/24", via: "192.0.2.254" },
            ],
          },
        ],
        dns: ["192.0.2.53", "2001:db8::53"],
        search: ["example.com", "example.net"],
      },
    ],
    [
      "bond-vlan",
      {
        interfaces: [
          bond,
          { ...vlan, mtu: 1500, routes: [{ to: "default", via: "192.0.2.1" }] },
          { type: "vlan", name: "storage", id: 43, link: "bond0", addresses: ["10.0.0.1/8"] },
        ],
        dns: ["192.0.2.53"],
      },
    ],
    [
      "gateway-outside-of-prefix",
      of({
        ...lan,
        addresses: ["192.0.2.10/32"],
        routes: [{ to: "default", via: "198.51.100.1" }],
      }),
    ],
  ])("writes %s", async (name, document) => {
    const { config, findings } = parseNetworkConfig(document);
    expect(findings).toEqual([]);
    if (config === undefined) return;
    const text = renderNetworkd(config).map((file) => `# ${file.path}\n${file.text}`);
    await expectGolden(`jobs/networkd.${name}.txt`, text.join("\n"));
  });
});

describe("parseNetworkConfig()", () => {
  const cases: [string, unknown, string, string][] = [
    ["no object", [], "", "must be an object"],
    ["no interfaces", {}, "", 'must have "interfaces"'],
    ["an empty list", of(), "/interfaces", "must be a list of 1 to 64 items"],
    ["a long list", of(...Array(65).fill(lan)), "/interfaces", "must be a list of 1 to 64 items"],
    ["no interface", of("lan"), "/interfaces/0", "must be an object"],
    [
      "an unknown type",
      of({ ...lan, type: "bridge" }),
      "/interfaces/0/type",
      "must be one of ethernet, bond, vlan",
    ],
    [
      "a prototype's type",
      of({ ...lan, type: "toString" }),
      "/interfaces/0/type",
      "must be one of ethernet, bond, vlan",
    ],
    [
      "a misspelt field",
      of({ ...lan, adresses: [] }),
      "/interfaces/0/adresses",
      "is not a field of the network configuration",
    ],
    [
      "a field of another type",
      of({ ...lan, members: [] }),
      "/interfaces/0/members",
      "is not a field of the network configuration",
    ],
    [
      "a field with a slash",
      { ...of(lan), "a/b~": 1 },
      "/a~1b~0",
      "is not a field of the network configuration",
    ],
    ["no MAC", of({ type: "ethernet", name: "lan" }), "/interfaces/0", 'must have "mac"'],
    [
      "an upper-case MAC",
      of({ ...lan, mac: "AA:BB:CC:DD:EE:FF" }),
      "/interfaces/0/mac",
      "must be a MAC in lower case with colons",
    ],
    [
      "a long name",
      of({ ...lan, name: "a".repeat(16) }),
      "/interfaces/0/name",
      "must be a link name of 1 to 15 characters",
    ],
    [
      "a name with a path",
      of({ ...lan, name: "../x" }),
      "/interfaces/0/name",
      "must be a link name of 1 to 15 characters",
    ],
    [
      "a name with a line",
      of({ ...lan, name: "a\n" }),
      "/interfaces/0/name",
      "must be a link name of 1 to 15 characters",
    ],
    [
      "an address without length",
      of({ ...lan, addresses: ["192.0.2.1"] }),
      "/interfaces/0/addresses/0",
      "must be an address with prefix length",
    ],
    [
      "a small MTU",
      of({ ...lan, mtu: 1279 }),
      "/interfaces/0/mtu",
      "must be an integer from 1280 to 9216",
    ],
    [
      "text for a boolean",
      of({ ...lan, dhcp: "yes" }),
      "/interfaces/0/dhcp",
      "must be true or false",
    ],
    [
      "a VLAN id of 4095",
      of(bond, { ...vlan, id: 4095 }),
      "/interfaces/1/id",
      "must be an integer from 1 to 4094",
    ],
    [
      "a name as DNS server",
      { ...of(lan), dns: ["dns.example.com"] },
      "/dns/0",
      "must be an IP address",
    ],
    [
      "a search domain with a line",
      { ...of(lan), search: ["a\nDNS=192.0.2.1"] },
      "/search/0",
      "must be a domain name",
    ],
    [
      "an unknown mode",
      of({ ...bond, mode: "broadcast" }),
      "/interfaces/0/mode",
      "must be one of 802.3ad, active-backup, balance-xor",
    ],
    [
      "a bond without members",
      of({ ...bond, members: [] }),
      "/interfaces/0/members",
      "must be a list of 1 to 64 items",
    ],
    [
      "the same name twice",
      of(lan, { ...lan, mac: MAC2, addresses: [] }),
      "/interfaces/1/name",
      "is the same as /interfaces/0/name",
    ],
    [
      "a NIC that is also a member",
      of(lan, bond),
      "/interfaces/1/members/0",
      "is the same as /interfaces/0/mac",
    ],
    [
      "the same address twice",
      of({ ...lan, addresses: ["2001:db8::1/64", "2001:db8:0::1/48"] }),
      "/interfaces/0/addresses/1",
      "is the same as /interfaces/0/addresses/0",
    ],
    [
      "the same VLAN twice",
      of(bond, vlan, { ...vlan, name: "b", addresses: [] }),
      "/interfaces/2/id",
      "is the same as /interfaces/1/id",
    ],
    [
      "a VLAN on nothing",
      of(vlan),
      "/interfaces/0/link",
      "must name an ethernet or bond interface of this configuration",
    ],
    [
      "a VLAN on itself",
      of({ ...vlan, link: "prod" }),
      "/interfaces/0/link",
      "must name an ethernet or bond interface of this configuration",
    ],
    [
      "a VLAN larger than its link",
      of(lan, { ...vlan, link: "lan", mtu: 9000, addresses: [] }),
      "/interfaces/1/mtu",
      "must not be larger than that of lan",
    ],
    [
      "a route of two families",
      of({ ...lan, routes: [{ to: "::/0", via: "192.0.2.1" }] }),
      "/interfaces/0/routes/0/via",
      'must be of the same family as "to"',
    ],
    [
      "a route without address",
      of({ ...lan, routes: [{ to: "default", via: "fe80::1" }] }),
      "/interfaces/0/routes/0",
      "needs an IPv6 address on lan",
    ],
  ];
  test.each(cases)("refuses %s", (_what, document, path, message) => {
    const { findings } = parseNetworkConfig(document);
    expect(findings.map((f) => ({ path: f.path, message: f.message }))).toEqual([
      { path, message },
    ]);
  });
});
