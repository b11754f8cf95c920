// Where everything of the map stands: a tidy tree from top to bottom. Steps follow each other on one line, paths and
// parts stand side by side under their step, what is repeated stands in a frame. Sizes are CSS pixels.
import type { OutlineEntry, OutlineList } from './api.types'

export interface MapBox {
  entry: OutlineEntry
  trigger: boolean
  x: number
  y: number
}
/** The head of a path, a part or a loop: what its list is called. */
export interface MapHead {
  list: OutlineList
  x: number
  y: number
}
export interface MapFrame {
  x: number
  y: number
  w: number
  h: number
}
export interface MapLine {
  /** Through these points, at right angles. */
  points: [number, number][]
  /** It is taken only when something fails. */
  aside: boolean
  /** The list that it leads into or stands in; its color is that of what became of it. */
  list?: string
  /** The step that it leads to, by the id that runs call it; none: it leads to no single one. */
  into?: string
  arrow: boolean
}
export interface MapPlan {
  /** Where the line of the whole runs. */
  start: number
  w: number
  h: number
  boxes: MapBox[]
  heads: MapHead[]
  frames: MapFrame[]
  lines: MapLine[]
  /** Where "When the run fails" stands; undefined: nothing is done then. */
  failure: { x: number; y: number } | undefined
}

export const box = { w: 216, h: 52 }
export const head = { w: 216, h: 26 }
const gap = 32 // between steps
const aisle = 28 // between columns
const edge = 16 // around everything, and inside a frame

/** A part of the map, from its own top; what flows through it enters and leaves at `axis`. */
class Block {
  boxes: MapBox[] = []
  heads: MapHead[] = []
  frames: MapFrame[] = []
  lines: MapLine[] = []
  constructor(
    public w: number,
    public h: number,
    public axis: number,
  ) {}
  /** Takes over another part at a place. */
  add(b: Block, dx: number, dy: number) {
    for (const x of b.boxes) this.boxes.push({ ...x, x: x.x + dx, y: x.y + dy })
    for (const x of b.heads) this.heads.push({ ...x, x: x.x + dx, y: x.y + dy })
    for (const x of b.frames) this.frames.push({ ...x, x: x.x + dx, y: x.y + dy })
    for (const x of b.lines) this.lines.push({ ...x, points: x.points.map(([px, py]): [number, number] => [px + dx, py + dy]) })
  }
}

/** Blocks under each other on one line. */
function stack(blocks: Block[]): Block {
  const axis = Math.max(0, ...blocks.map((b) => b.axis))
  const right = Math.max(0, ...blocks.map((b) => b.w - b.axis))
  const all = new Block(axis + right, 0, axis)
  blocks.forEach((b, i) => {
    if (i > 0) {
      all.lines.push({ points: [[axis, all.h], [axis, all.h + gap]], aside: false, into: b.boxes[0]?.entry.run_id, arrow: true })
      all.h += gap
    }
    all.add(b, axis - b.axis, all.h)
    all.h += b.h
  })
  return all
}

/** A list under its head; an empty one is the head alone. */
function column(list: OutlineList): Block {
  const top = new Block(head.w, head.h, head.w / 2)
  top.heads.push({ list, x: 0, y: 0 })
  const all = stack([top, ...list.steps.map(step)])
  for (const line of all.lines) line.list ??= list.path // what goes on inside went this way, too
  return all
}

function step(entry: OutlineEntry): Block {
  const own = new Block(box.w, box.h, box.w / 2)
  own.boxes.push({ entry, trigger: false, x: 0, y: 0 })
  const loop = entry.lists.find((l) => l.role === 'steps')
  const columns = entry.lists.filter((l) => l.role !== 'steps' && (l.role !== 'on_error' || l.steps.length))
  let block = own
  if (loop) {
    const inside = stack([own, ...loop.steps.map(step)])
    block = new Block(inside.w + 2 * edge, inside.h + 2 * edge, inside.axis + edge)
    block.frames.push({ x: 0, y: 0, w: block.w, h: block.h })
    block.add(inside, edge, edge)
  }
  if (!columns.length) return block
  // Side by side, each led into from the step and back to the line below; one for failures stands aside.
  const parts = columns.map((list) => ({ list, block: column(list) }))
  const wide = parts.reduce((sum, p) => sum + p.block.w, aisle * (parts.length - 1))
  const deep = Math.max(...parts.map((p) => p.block.h))
  // A step that is alone with what follows its failure stays on the line; the failure stands to its right.
  const only = columns.every((l) => l.role === 'on_error')
  const axis = only ? block.axis : Math.max(block.axis, wide / 2)
  const start = only ? axis + box.w / 2 + aisle : axis - wide / 2
  const right = Math.max(block.w - block.axis, start + wide - axis)
  const out = new Block(axis + right, 0, axis)
  out.add(block, axis - block.axis, 0)
  const top = only ? 0 : block.h + gap
  let x = start
  out.h = Math.max(block.h, top + deep) + (only ? 0 : gap)
  for (const { list, block: part } of parts) {
    const at = x + part.axis
    const aside = list.role === 'on_error'
    out.add(part, x, only ? (block.h - head.h) / 2 : top)
    if (only) out.lines.push({ points: [[axis + box.w / 2, block.h / 2], [x + part.axis - head.w / 2, block.h / 2]], aside, list: list.path, arrow: true })
    else {
      out.lines.push({ points: [[axis, block.h], [axis, block.h + gap / 2], [at, block.h + gap / 2], [at, top]], aside, list: list.path, arrow: true })
      out.lines.push({ points: [[at, top + part.h], [at, out.h - gap / 2], [axis, out.h - gap / 2], [axis, out.h]], aside, list: list.path, arrow: false })
    }
    x += part.w + aisle
  }
  if (only) out.h = Math.max(block.h, (block.h - head.h) / 2 + deep)
  return out
}

export function planOf(model: { triggers: OutlineEntry[]; steps: OutlineEntry[]; on_failure: OutlineEntry[] }): MapPlan {
  const starts = model.triggers.map((entry) => {
    const b = new Block(box.w, box.h, box.w / 2)
    b.boxes.push({ entry, trigger: true, x: 0, y: 0 })
    return b
  })
  const wide = starts.reduce((sum, b) => sum + b.w, aisle * Math.max(0, starts.length - 1))
  const top = new Block(wide, starts.length ? box.h + (starts.length > 1 ? gap / 2 : 0) : 0, wide / 2)
  starts.forEach((b, i) => {
    const x = i * (box.w + aisle)
    top.add(b, x, 0)
    if (starts.length > 1) top.lines.push({ points: [[x + box.w / 2, box.h], [x + box.w / 2, top.h], [top.axis, top.h]], aside: false, arrow: false })
  })
  const main = stack([...(starts.length ? [top] : []), ...model.steps.map(step)])
  const all = new Block(main.w, main.h, main.axis)
  all.add(main, 0, 0)
  let failure: MapPlan['failure']
  if (model.on_failure.length) {
    const aside = stack(model.on_failure.map(step))
    failure = { x: all.w + 2 * aisle + edge, y: edge }
    all.add(aside, all.w + 2 * aisle, head.h)
    all.w += 2 * aisle + Math.max(aside.w, head.w)
    all.h = Math.max(all.h, aside.h + head.h)
  }
  const moved = new Block(all.w + 2 * edge, all.h + 2 * edge, 0)
  moved.add(all, edge, edge)
  return { start: main.axis + edge, w: moved.w, h: moved.h, boxes: moved.boxes, heads: moved.heads, frames: moved.frames, lines: moved.lines, failure }
}

/** Whether a picture says more than the list: it branches, repeats or is long. */
export function worthMap(model: { steps: OutlineEntry[] } | undefined): boolean {
  let count = 0
  let forks = false
  const walk = (entries: OutlineEntry[]) => {
    for (const e of entries) {
      count++
      for (const l of e.lists) {
        if (l.role !== 'on_error') forks = true
        walk(l.steps)
      }
    }
  }
  walk(model?.steps ?? [])
  return forks || count > 5
}

/** A line as the path of an SVG, with round corners. */
export function pathOf(points: [number, number][], radius = 8): string {
  let d = ''
  points.forEach(([x, y], i) => {
    const [px, py] = points[i - 1] ?? [x, y]
    const next = points[i + 1]
    if (i === 0) d += `M${x} ${y}`
    else if (!next) d += `L${x} ${y}`
    else {
      const r = Math.min(radius, Math.hypot(x - px, y - py) / 2, Math.hypot(next[0] - x, next[1] - y) / 2)
      const toward = (ax: number, ay: number): [number, number] => {
        const length = Math.hypot(ax - x, ay - y) || 1
        return [x + ((ax - x) / length) * r, y + ((ay - y) / length) * r]
      }
      const [ax, ay] = toward(px, py)
      const [bx, by] = toward(next[0], next[1])
      d += `L${ax} ${ay}Q${x} ${y} ${bx} ${by}`
    }
  })
  return d
}
