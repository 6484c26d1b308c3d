/**
 * The arithmetic of a transformer over fp32 arrays. Sums run in double, in ascending order, one accumulator per result,
 * and are rounded to fp32 when stored. So the value of a row depends on that row alone, never on how rows were batched:
 * this is what lets a split, batched engine be compared bit for bit with a plain one.
 */

/**
 * `out[r][o] = sum over i of x[r][i] * w[o][i]` for `rows` rows. `w` is row-major [outer, inner], as in a checkpoint.
 * Four rows of `w` are walked at a time, for every row of `x`, while they are in the first cache level.
 */
export function matmul(
  out: Float32Array,
  x: Float32Array,
  w: Float32Array,
  rows: number,
  inner: number,
  outer: number,
): void {
  const blocked = outer - (outer % 4);
  for (let o = 0; o < blocked; o += 4) {
    const w0 = o * inner;
    const w1 = w0 + inner;
    const w2 = w1 + inner;
    const w3 = w2 + inner;
    for (let r = 0; r < rows; r++) {
      const base = r * inner;
      let s0 = 0;
      let s1 = 0;
      let s2 = 0;
      let s3 = 0;
      for (let i = 0; i < inner; i++) {
        const v = x[base + i]!;
        s0 += w[w0 + i]! * v;
        s1 += w[w1 + i]! * v;
        s2 += w[w2 + i]! * v;
        s3 += w[w3 + i]! * v;
      }
      const to = r * outer + o;
      out[to] = s0;
      out[to + 1] = s1;
      out[to + 2] = s2;
      out[to + 3] = s3;
    }
  }
  for (let o = blocked; o < outer; o++) {
    for (let r = 0; r < rows; r++) out[r * outer + o] = dot(x, r * inner, w, o * inner, inner);
  }
}

/** Sum of `a[aAt + i] * b[bAt + i]` for i below `count`. */
export function dot(a: Float32Array, aAt: number, b: Float32Array, bAt: number, count: number): number {
  let sum = 0;
  for (let i = 0; i < count; i++) sum += a[aAt + i]! * b[bAt + i]!;
  return sum;
}

/** `out = x / rms(x) * gain`, row by row; `gain` has one row. */
export function rmsNorm(
  out: Float32Array,
  x: Float32Array,
  gain: Float32Array,
  rows: number,
  epsilon: number,
): void {
  const width = gain.length;
  for (let r = 0; r < rows; r++) {
    const base = r * width;
    const inverse = 1 / Math.sqrt(dot(x, base, x, base, width) / width + epsilon);
    for (let i = 0; i < width; i++) out[base + i] = x[base + i]! * inverse * gain[i]!;
  }
}

/** Softmax in place over the first `count` elements. */
export function softmax(x: Float32Array, count: number): void {
  let top = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < count; i++) top = Math.max(top, x[i]!);
  let sum = 0;
  for (let i = 0; i < count; i++) {
    const e = Math.exp(x[i]! - top);
    x[i] = e;
    sum += e;
  }
  for (let i = 0; i < count; i++) x[i] = x[i]! / sum;
}

/** `gate = silu(gate) * up`, in place, over the first `count` elements: the middle of a SwiGLU. */
export function swiglu(gate: Float32Array, up: Float32Array, count: number): void {
  for (let i = 0; i < count; i++) {
    const g = gate[i]!;
    gate[i] = (g / (1 + Math.exp(-g))) * up[i]!;
  }
}

/** `x += y` over the first `count` elements. */
export function addInPlace(x: Float32Array, y: Float32Array, count: number): void {
  for (let i = 0; i < count; i++) x[i] = x[i]! + y[i]!;
}

/** Index of the largest element; the lowest one of equals. */
export function argmax(x: Float32Array): number {
  let best = 0;
  for (let i = 1; i < x.length; i++) if (x[i]! > x[best]!) best = i;
  return best;
}
