// Addresses of pages. An id with a slash is one part of the path, billing%2Finvoice, so parts are split first and decoded
// after.
export interface Match {
  route: string
  params: Record<string, string>
}

export function match(routes: string[], path: string): Match | undefined {
  const parts = path.replace(/\/+$/, '').split('/').slice(1)
  for (const route of routes) {
    const names = route.split('/').slice(1)
    if (names.length !== parts.length) continue
    const params: Record<string, string> = {}
    const fits = names.every((name, i) => {
      const part = parts[i]!
      if (!name.startsWith(':')) return name === part
      try {
        params[name.slice(1)] = decodeURIComponent(part)
      } catch {
        return false
      }
      return part !== ''
    })
    if (fits) return { route, params }
  }
  return undefined
}

/** A path with its parts encoded: path`/workflows/${id}`. */
export function path(strings: TemplateStringsArray, ...values: string[]): string {
  return strings.reduce((out, s, i) => out + encodeURIComponent(values[i - 1] ?? '') + s)
}
