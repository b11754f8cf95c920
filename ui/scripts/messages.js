// Splits messages/<language>.json, one file for translators, into one module per group (the part of a key before its
// first dot), so that a page loads only its own texts. Groups of the first screen are one module, `core`.
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const folder = fileURLToPath(new URL('../messages/', import.meta.url))
const core = ['app', 'nav', 'common', 'status', 'error', 'time', 'workflows', 'kind']
const prefix = 'virtual:messages/'

const groupOf = (key) => {
  const group = key.slice(0, key.indexOf('.'))
  return core.includes(group) ? 'core' : group
}

function read(language) {
  return JSON.parse(readFileSync(folder + language + '.json', 'utf8'))
}

/** @returns {import('vite').Plugin} */
export function messages() {
  return {
    name: 'bellhop-messages',
    resolveId: (id) => (id.startsWith(prefix) ? '\0' + id + '.js' : undefined),
    load(id) {
      if (!id.startsWith('\0' + prefix)) return
      const rest = id.slice(prefix.length + 1, -3)
      const languages = readdirSync(folder).filter((f) => f.endsWith('.json')).map((f) => f.slice(0, -5)).sort()
      for (const language of languages) this.addWatchFile(folder + language + '.json')
      if (rest === 'index') {
        const lines = []
        for (const language of languages) {
          for (const group of [...new Set(Object.keys(read(language)).map(groupOf))].sort()) {
            if (language === 'en' && group === 'core') continue
            lines.push(`  ${JSON.stringify(language + '/' + group)}: () => import(${JSON.stringify(prefix + language + '/' + group)}),`)
          }
        }
        return `export default {\n${lines.join('\n')}\n}\n`
      }
      const [language, group] = rest.split('/')
      const part = Object.fromEntries(Object.entries(read(language)).filter(([key]) => groupOf(key) === group))
      return `export default ${JSON.stringify(part)}`
    },
  }
}
