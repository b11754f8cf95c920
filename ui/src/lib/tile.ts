/** A hue of the ten in tokens.css, the same for a name at all times. */
export function tileHue(id: string): number {
  let h = 2166136261
  for (let i = 0; i < id.length; i++) h = Math.imul(h ^ id.charCodeAt(i), 16777619)
  return ((h ^ (h >>> 13)) >>> 0) % 10
}

/** "Google Sheets" is GS, "GitHub" GH, "Slack" Sl. */
export function monogram(title: string, letters: 1 | 2 = 2): string {
  const words = title.replace(/[^\p{L}\p{N} ]/gu, ' ').trim().split(/\s+/)
  const first = [...(words[0] ?? '')]
  if (letters === 1) return (first[0] ?? '·').toUpperCase()
  if (words.length > 1) return (first[0] ?? '').toUpperCase() + ([...words[1]!][0] ?? '').toUpperCase()
  const capitals = first.filter((c, i) => i > 0 && /\p{Lu}/u.test(c))
  return (first[0] ?? '·').toUpperCase() + (capitals[0] ?? first[1] ?? '')
}
