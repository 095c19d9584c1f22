// Orders of a sequence.

/** Whether there is another order than the one that there is. */
export const isOtherOrder = (list) => new Set(list.map((one) => `${one.key} ${one.body}`)).size > 1;

/** Another order of a list that has one, at random. */
export function shuffled(list) {
  const before = list.map((one) => `${one.key} ${one.body}`).join();
  let mixed;
  do {
    mixed = list.map((one) => [Math.random(), one]).sort(([a], [b]) => a - b).map(([, one]) => one);
  } while (mixed.map((one) => `${one.key} ${one.body}`).join() === before);
  return mixed;
}
