// Texts with data in them: "Hi ${{ trigger.body.name }}" as parts, and back. Only the place of the marks is known here;
// what stands between them is the server's business.
export interface Part {
  /** A text as people read it ($${{ is written ${{), or the expression of a pill. */
  text?: string
  expr?: string
  from: number
  to: number
}

export function partsOf(template: string): Part[] {
  const parts: Part[] = []
  let at = 0
  let start = 0
  const push = (to: number) => {
    if (to > start) parts.push({ text: template.slice(start, to).replaceAll('$${{', '${{'), from: start, to })
  }
  while (at < template.length) {
    if (template.startsWith('$${{', at)) at += 4
    else if (template.startsWith('${{', at)) {
      const end = endOf(template, at + 3)
      if (end < 0) break
      push(at)
      parts.push({ expr: template.slice(at + 3, end).trim(), from: at, to: end + 2 })
      at = start = end + 2
    } else at++
  }
  push(template.length)
  return parts
}

/** Where the }} of an expression stands; texts in it may hold one. */
function endOf(s: string, from: number): number {
  let quote = ''
  let depth = 0
  for (let i = from; i < s.length; i++) {
    const c = s[i]!
    if (quote) {
      if (c === '\\' && quote !== '`') i++
      else if (c === quote) quote = ''
    } else if (c === '"' || c === "'" || c === '`') quote = c
    else if (c === '{') depth++
    else if (c === '}') {
      if (depth > 0) depth--
      else if (s[i + 1] === '}') return i
    }
  }
  return -1
}

export const pill = (path: string): string => '${{ ' + path + ' }}'

/** An expression that stands by itself in the file as a text with a pill, and back: data that is put into its field is
 *  written without the marks. */
export const asTemplate = (expr: string): string => (/^[A-Za-z_][\w.]*$/.test(expr.trim()) ? pill(expr.trim()) : expr)
export const asExpression = (template: string): string => partsOf(template).map((p) => p.text ?? p.expr ?? '').join('').trim()

/** Whether a value holds data, so that only a text field can show it. */
export const hasData = (value: unknown): boolean => typeof value === 'string' && partsOf(value).some((p) => p.expr !== undefined)

/** The words that a pill shows: the label of its path, else the expression itself, cut. */
export function pillLabel(expr: string, labels: Record<string, string>): string {
  const known = labels[expr]
  if (known) return known
  const call = /^default\(([\w.]+), "([^"]*)"\)$/.exec(expr)
  if (call && labels[call[1]!]) return `${labels[call[1]!]}, or ${call[2]}`
  const format = /^(upper|lower|trim|round|money|first|last|len)\(([\w.]+).*\)$/.exec(expr)
  if (format && labels[format[2]!]) return `${labels[format[2]!]} (${format[1]})`
  return expr.length > 40 ? expr.slice(0, 39) + '…' : expr
}

/** A path in a workflow file to a key of a mapping. */
export const child = (path: string, key: string): string => (/^[A-Za-z_][\w-]*$/.test(key) ? `${path}.${key}` : `${path}[${JSON.stringify(key)}]`)
