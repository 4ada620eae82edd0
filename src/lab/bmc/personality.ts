// SPDX-License-Identifier: AGPL-3.0-or-later

export interface SlotModel {
  readonly id: string;
  readonly mediaTypes: readonly string[];
}

/** What distinguishes one make of BMC from another, as data. */
export interface Personality {
  readonly manufacturer: string;
  readonly model: string;
  readonly firmware: string;
  readonly systemId: string;
  readonly managerId: string;
  /** Where the DMI product serial is: a Dell shows its service tag as SKU, and its board's serial. */
  readonly serialIn: "SerialNumber" | "SKU";
  /** Under which resource the virtual media are found. */
  readonly mediaUnder: "Systems" | "Managers";
  readonly slots: readonly SlotModel[];
  /** Only one slot may be in use at a time, however many there are. */
  readonly oneAtATime: boolean;
  /** InsertMedia and EjectMedia, or PATCH of `Image` on the slot. */
  readonly insertBy: "action" | "patch";
  /** Insert and eject answer 202 and a Task instead of 204. */
  readonly mediaTasks: boolean;
  readonly insertRequires: readonly string[];
  /** Parameters of the standard that this BMC does not know. */
  readonly insertRefuses: readonly string[];
  /** EjectMedia without a JSON body is refused. */
  readonly ejectNeedsBody: boolean;
  readonly protocols: readonly ("http" | "https")[];
  /** `Inserted` and `ConnectedVia` lag behind an accepted insert by this many ms. */
  readonly insertedAfterMs: number;
  /** `Image` stays after an eject, with `ConnectedVia` "NotConnected". */
  readonly keepsImage: boolean;
  readonly cdTarget: "Cd" | "UsbCd";
  /** Boots the lowest slot or none. */
  readonly bootsLowestSlotOnly: boolean;
  /** What a PATCH without `If-Match` gets: 428 when required. A wrong one always gets 412. */
  readonly ifMatch: "optional" | "required";
  readonly sessions: boolean;
  /** Settings cannot be changed for this long after power-on, ms. */
  readonly postMs: number;
  /** Reset to the state that is already there: 409, or 204 and nothing done. */
  readonly refusesVainReset: boolean;
}

const cd = (id: string): SlotModel => ({ id, mediaTypes: ["CD", "DVD"] });
const usb = (id: string): SlotModel => ({ id, mediaTypes: ["USBStick", "Floppy"] });

const TWO_SLOT: Personality = {
  manufacturer: "prov",
  model: "Lab Server 2",
  firmware: "2.0.0",
  systemId: "1",
  managerId: "1",
  serialIn: "SerialNumber",
  mediaUnder: "Systems",
  slots: [cd("1"), cd("2")],
  oneAtATime: false,
  insertBy: "action",
  mediaTasks: false,
  insertRequires: [],
  insertRefuses: [],
  ejectNeedsBody: false,
  protocols: ["http", "https"],
  insertedAfterMs: 0,
  keepsImage: false,
  cdTarget: "Cd",
  bootsLowestSlotOnly: false,
  ifMatch: "optional",
  sessions: true,
  postMs: 0,
  refusesVainReset: false,
};

/**
 * Two of our own, then one row per make, each with the oddity that most often breaks clients of it.
 * Slots that take USB images are CD drives on a QEMU machine: the same bytes, by another device.
 */
export const PERSONALITIES = {
  "two-slot": TWO_SLOT,
  "one-slot": {
    ...TWO_SLOT,
    model: "Lab Server 1",
    mediaUnder: "Managers",
    slots: [cd("CD1")],
    mediaTasks: true,
  },
  "idrac9-old": {
    ...TWO_SLOT,
    manufacturer: "Dell Inc.",
    model: "PowerEdge R640",
    firmware: "5.10.50.00",
    systemId: "System.Embedded.1",
    managerId: "iDRAC.Embedded.1",
    serialIn: "SKU",
    mediaUnder: "Managers",
    slots: [usb("RemovableDisk"), cd("CD")],
    oneAtATime: true,
    refusesVainReset: true,
  },
  idrac9: {
    ...TWO_SLOT,
    manufacturer: "Dell Inc.",
    model: "PowerEdge R650",
    firmware: "7.10.30.00",
    systemId: "System.Embedded.1",
    managerId: "iDRAC.Embedded.1",
    serialIn: "SKU",
    refusesVainReset: true,
  },
  idrac10: {
    ...TWO_SLOT,
    manufacturer: "Dell Inc.",
    model: "PowerEdge R670",
    firmware: "1.20.25.00",
    systemId: "System.Embedded.1",
    managerId: "iDRAC.Embedded.1",
    serialIn: "SKU",
    bootsLowestSlotOnly: true,
    refusesVainReset: true,
  },
  ilo5: {
    ...TWO_SLOT,
    manufacturer: "HPE",
    model: "ProLiant DL360 Gen10",
    firmware: "iLO 5 v3.06",
    mediaUnder: "Managers",
    slots: [usb("1"), cd("2")],
    ejectNeedsBody: true,
    postMs: 500,
  },
  xcc: {
    ...TWO_SLOT,
    manufacturer: "Lenovo",
    model: "ThinkSystem SR650 V2",
    firmware: "AFBT58B",
    slots: [cd("EXT1"), cd("EXT2"), cd("EXT3"), cd("EXT4")],
    insertBy: "patch",
    ifMatch: "required",
  },
  supermicro: {
    ...TWO_SLOT,
    manufacturer: "Supermicro",
    model: "SYS-621C-TN12R",
    firmware: "01.03.16",
    mediaUnder: "Managers",
    slots: [cd("CD1")],
    mediaTasks: true,
    insertRefuses: ["Inserted", "WriteProtected"],
    keepsImage: true,
    insertedAfterMs: 300,
    cdTarget: "UsbCd",
  },
  openbmc: {
    ...TWO_SLOT,
    manufacturer: "OpenBMC",
    model: "Reference",
    firmware: "2.18.0",
    systemId: "system",
    managerId: "bmc",
    mediaUnder: "Managers",
    slots: [cd("Slot_0"), cd("Slot_1")],
    insertRequires: ["TransferMethod"],
    protocols: ["https"],
  },
  irmc: {
    ...TWO_SLOT,
    manufacturer: "FUJITSU",
    model: "PRIMERGY RX2540 M6",
    firmware: "3.37P",
    systemId: "0",
    managerId: "iRMC",
    mediaUnder: "Managers",
    slots: [cd("0"), usb("1")],
    insertRequires: ["TransferProtocolType"],
    protocols: ["https"],
    ifMatch: "required",
  },
  ami: {
    ...TWO_SLOT,
    manufacturer: "Gigabyte",
    model: "R182-Z91",
    firmware: "12.61.21",
    systemId: "Self",
    managerId: "Self",
    mediaUnder: "Managers",
    slots: [cd("CD1"), cd("CD2")],
    insertRequires: ["TransferProtocolType"],
    ifMatch: "required",
    insertedAfterMs: 300,
  },
  "sushy-like": {
    ...TWO_SLOT,
    manufacturer: "Sushy Emulator",
    model: "libvirt",
    firmware: "1.00",
    mediaUnder: "Managers",
    slots: [cd("Cd"), usb("Floppy")],
    sessions: false,
  },
} as const satisfies Record<string, Personality>;

export type PersonalityName = keyof typeof PERSONALITIES;
