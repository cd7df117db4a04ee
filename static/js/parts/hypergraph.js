/**
 * A picture of the hypergraph: accounts in a disc per cluster, busiest in the middle, ties between them; and how
 * it changes as moves are made. Pure functions; the page draws what they return.
 */

const GOLDEN = Math.PI * (3 - Math.sqrt(5));

/**
 * @param {{vertices: number[][], nets: number[][]}} snapshot rows [account, cluster, load], [weight, …places]
 * @param {number[][]} moves rows [account, from, to]
 * @returns {{places: Map<number, number>, homes: number[], moves: {place: number, from: number, to: number, at: number}[]}}
 *   moves among the shown accounts, in order, `at` of which all of the plan's; `homes` is the cluster of each place
 *   before the first.
 */
export function film(snapshot, moves) {
  const places = new Map(snapshot.vertices.map(([account], place) => [account, place]));
  return {
    places,
    homes: snapshot.vertices.map(([, cluster]) => cluster),
    moves: moves
      .map(([account, from, to], before) => ({ place: places.get(account), from, to, at: before + 1 }))
      .filter(({ place }) => place !== undefined),
  };
}

/** Clusters of every place after the first `count` moves. */
export function homesAfter({ homes, moves }, count) {
  const now = [...homes];
  for (const { place, to } of moves.slice(0, count)) now[place] = to;
  return now;
}

/** Weight of the nets that cross clusters, and of all. */
export function cut(nets, homes) {
  let across = 0;
  let all = 0;
  for (const [weight, ...ends] of nets) {
    all += weight;
    if (ends.some((end) => homes[end] !== homes[ends[0]])) across += weight;
  }
  return { across, all };
}

/**
 * Where each place stands, in a square from -1 to 1: clusters on a circle, accounts of one on a spiral in the order
 * of their places, so that nobody jumps but who moves or stands behind them.
 * @returns {[number, number][]}
 */
export function positions(homes, clusters) {
  const counts = new Map(clusters.map((cluster) => [cluster, 0]));
  for (const home of homes) counts.set(home, counts.get(home) + 1);
  const most = Math.max(1, ...counts.values());
  const ring = clusters.length > 1 ? 0.56 : 0;
  const disc = clusters.length > 1 ? Math.min(0.42, 0.56 * Math.sin(Math.PI / clusters.length) * 0.9) : 0.9;
  const centres = new Map(clusters.map((cluster, i) => {
    const angle = -Math.PI / 2 + (2 * Math.PI * i) / clusters.length;
    return [cluster, [ring * Math.cos(angle), ring * Math.sin(angle)]];
  }));
  const seen = new Map(clusters.map((cluster) => [cluster, 0]));
  return homes.map((home) => {
    const rank = seen.get(home);
    seen.set(home, rank + 1);
    const [x, y] = centres.get(home);
    const radius = disc * Math.sqrt((rank + 0.5) / most);
    return [x + radius * Math.cos(rank * GOLDEN), y + radius * Math.sin(rank * GOLDEN)];
  });
}
