// House rules that no type checker knows.
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../', import.meta.url))
const walk = (dir) => readdirSync(dir).flatMap((f) => (statSync(dir + f).isDirectory() ? walk(dir + f + '/') : [dir + f]))
const bad = []
const rules = [
  [/\{@html/, '{@html} shows data as markup'],
  [/from '@lucide\/svelte'/, "import an icon by its own path, '@lucide/svelte/icons/x': the package compiles 2,000 of them"],
  [/\bstyle="/, 'a style attribute; use style:name={value} or a class'],
  [/\b(?:margin|padding|border)-(?:left|right)\b|\b(?:left|right):\s/, 'a side by name; use inline-start and inline-end, which follow the direction of the text', /svelte$|css$/],
  [/https?:\/\/(?!127\.0\.0\.1|localhost|www\.w3\.org|api\.example|chat\.example|shop\.example|example)/, 'an address outside'],
]
for (const file of walk(root + 'src/')) {
  if (!/\.(svelte|ts|css)$/.test(file) || file.endsWith('.types.ts')) continue
  readFileSync(file, 'utf8').split('\n').forEach((line, i) => {
    for (const [rule, why, only] of rules) if (rule.test(line) && (!only || only.test(file))) bad.push(`${file.slice(root.length)}:${i + 1}: ${why}`)
  })
}

// Every language has every key, every key is used, and no text says a word that the product does not use.
const languages = Object.fromEntries(readdirSync(root + 'messages').map((f) => [f, JSON.parse(readFileSync(root + 'messages/' + f, 'utf8'))]))
const english = Object.keys(languages['en.json'])
for (const [file, texts] of Object.entries(languages)) {
  for (const key of english) if (!(key in texts)) bad.push(`messages/${file}: ${key} is missing`)
  for (const [key, text] of Object.entries(texts)) {
    if (!english.includes(key)) bad.push(`messages/${file}: ${key} is not in en.json`)
    if (/\b(node|execution|payload|credential|operator)s?\b/i.test(text)) bad.push(`messages/${file}: ${key} says a word that we do not use`)
    const names = (s) => [...s.matchAll(/\{(\w+), (?:plural|select|number)|(?<!\b(?:zero|one|two|few|many|other) |=\d )\{(\w+)\}/g)].map((m) => m[1] ?? m[2]).sort().filter((n, i, l) => l.indexOf(n) === i).join()
    if (english.includes(key) && names(text) !== names(languages['en.json'][key])) bad.push(`messages/${file}: ${key} has other parameters than the English text`)
  }
}
const source = walk(root + 'src/').filter((f) => /\.(svelte|ts)$/.test(f)).map((f) => readFileSync(f, 'utf8')).join('\n')
for (const key of english) {
  const families = [...key.matchAll(/[._]/g)].map((m) => '`' + key.slice(0, m.index + 1) + '${')
  if (!source.includes(`'${key}'`) && !families.some((f) => source.includes(f))) bad.push(`messages/en.json: nothing uses ${key}`)
}
if (bad.length) {
  console.error(bad.join('\n'))
  process.exit(1)
}
