// Who sits in front of the page: two users, and their further devices.
import { stack } from "../stack.js";
import { Store } from "../store.js";
import { Device } from "./device.js";

class Seats extends Store {
  list = [];

  /** Two free seats, when the domain is known. */
  begin(domain) {
    if (this.list.length > 0) return;
    this.list = ["alice", "bob"].map((name, index) => ({ id: index + 1, name: `${name}@${domain}`, number: 1 }));
    this.changed();
  }

  logIn(seat, jid) {
    seat.device = new Device(jid.trim());
    seat.device.session.connect();
    this.changed();
  }

  logOut(seat) {
    seat.device.session.logOut();
    seat.name = seat.device.jid;
    seat.device = undefined;
    if (seat.number > 1) this.list = this.list.filter((one) => one !== seat);
    this.changed();
  }

  /** One more device of the same user, beside the first. */
  addDevice(seat) {
    const { jid } = seat.device;
    const number = Math.max(...this.list.filter((one) => (one.device?.jid ?? one.name) === jid).map((one) => one.number)) + 1;
    const added = { id: Math.max(...this.list.map((one) => one.id)) + 1, name: jid, number };
    const at = this.list.findLastIndex((one) => one.device?.jid === jid);
    this.list = this.list.toSpliced(at + 1, 0, added);
    this.logIn(added, jid);
  }
}

export const seats = new Seats();

// An owner who is no participant gets no invitation, and a device outside of a room no word of a kick: their list of rooms
// changes with the events that the stack has handled.
let done = 0;
stack.subscribe(() => {
  if (stack.done === done) return;
  done = stack.done;
  for (const { device } of seats.list) device?.reloadRooms();
});
