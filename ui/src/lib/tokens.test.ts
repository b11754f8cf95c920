import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'

const css = readFileSync(new URL('../tokens.css', import.meta.url), 'utf8')

/** The tokens of a theme: those of its own block, which is the last one that names them. */
function theme(name: 'light' | 'dark'): Record<string, string> {
  const block = css.slice(css.indexOf(`[data-theme='${name}'] {`))
  const body = block.slice(0, block.indexOf('\n}'))
  return Object.fromEntries([...body.matchAll(/--([a-z0-9-]+): (#[0-9a-f]{6});/g)].map((m) => [m[1]!, m[2]!]))
}

function luminance(hex: string): number {
  const [r, g, b] = [1, 3, 5]
    .map((i) => parseInt(hex.slice(i, i + 2), 16) / 255)
    .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
  return 0.2126 * r! + 0.7152 * g! + 0.0722 * b!
}

function contrast(a: string, b: string): number {
  const [x, y] = [luminance(a), luminance(b)].sort((m, n) => n - m)
  return (x! + 0.05) / (y! + 0.05)
}

const texts: [string, string[]][] = [
  ['text', ['bg', 'surface', 'sunken', 'accent-soft', 'ok-soft', 'warn-soft', 'err-soft', 'info-soft', 'pill']],
  ['text-2', ['bg', 'surface', 'sunken', 'accent-soft', 'err-soft', 'warn-soft', 'info-soft']],
  ['text-3', ['bg', 'surface', 'sunken']],
  ['accent-text', ['bg', 'surface', 'sunken', 'accent-soft']],
  ['on-accent', ['accent', 'accent-hover']],
  ['ok', ['bg', 'surface', 'sunken', 'ok-soft']],
  ['warn', ['bg', 'surface', 'sunken', 'warn-soft']],
  ['err', ['bg', 'surface', 'sunken', 'err-soft']],
  ['info', ['bg', 'surface', 'sunken', 'info-soft']],
  ['pill-text', ['pill', 'surface']],
  ...Array.from({ length: 10 }, (_, i): [string, string[]] => [`tile-${i}-text`, [`tile-${i}`]]),
]
const controls: [string, string[]][] = [
  ['border-strong', ['bg', 'surface', 'sunken']],
  ['focus', ['bg', 'surface', 'sunken', 'accent-soft']],
  ['accent', ['bg', 'surface', 'sunken']],
]

describe.each(['light', 'dark'] as const)('%s', (name) => {
  const tokens = theme(name)
  const pairs = (list: [string, string[]][], least: number) =>
    list.flatMap(([front, backs]) => backs.map((back) => [front, back, least] as const))
  it.each([...pairs(texts, 4.5), ...pairs(controls, 3)])('%s on %s has a contrast of %f', (front, back, least) => {
    expect(tokens[front], front).toBeDefined()
    expect(tokens[back], back).toBeDefined()
    expect(contrast(tokens[front]!, tokens[back]!)).toBeGreaterThanOrEqual(least)
  })
})
