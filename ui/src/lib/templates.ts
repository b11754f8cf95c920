// What several pages say about templates.
import type { TemplateBlock, TemplateItem } from './api.types'

/** The ones that a first visitor is asked about, the simplest first. */
const first = ['webhook-to-slack', 'feed-to-slack', 'lead-form']

export function chosen(all: TemplateItem[]): TemplateItem[] {
  const named = first.flatMap((id) => all.filter((x) => x.id === id))
  return [...named, ...all.filter((x) => !first.includes(x.id))].slice(0, first.length)
}

export const appOf = (b: TemplateBlock): string => (b.use ? b.use.slice(0, b.use.indexOf('.')) : '')

/** The trigger, and the apps that the steps use, each once; what Bellhop keeps for itself is no app. */
export function tilesOf(x: TemplateItem): { kind: string; app: string }[] {
  const out: { kind: string; app: string }[] = []
  for (const b of x.chain) {
    const tile = { kind: b.kind, app: appOf(b) }
    if (out.length < 3 && (out.length === 0 || tile.app) && tile.app !== 'store' && !out.some((o) => o.app === tile.app && o.app !== '')) out.push(tile)
  }
  return out
}
