/** The number of the database that has an owner's sessions, computed as in `src/thread/place.rs`. */
export function placeOf(key: string, count: number): number {
  const mask = 0xffffffffffffffffn;
  let hash = 0xcbf29ce484222325n;
  for (const byte of Buffer.from(key)) hash = ((hash ^ BigInt(byte)) * 0x100000001b3n) & mask;
  const mixed = (number: bigint) => {
    let mixed = ((number ^ (number >> 30n)) * 0xbf58476d1ce4e5b9n) & mask;
    mixed = ((mixed ^ (mixed >> 27n)) * 0x94d049bb133111ebn) & mask;
    return mixed ^ (mixed >> 31n);
  };
  const weights = Array.from({ length: count }, (_, place) => mixed(hash ^ mixed(BigInt(place + 1))));
  return weights.reduce((best, weight, place) => (weight >= (weights[best] as bigint) ? place : best), 0);
}
