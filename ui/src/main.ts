import './tokens.css'
import './base.css'
import { mount } from 'svelte'
import App from './App.svelte'
import { language, loadMessages } from './lib/i18n'
import { routeOf } from './routes'

// A new build of the server may have removed the part that this page wants to load: load the page anew, once.
addEventListener('vite:preloadError', (e) => {
  const name = 'bellhop.reloaded'
  if (sessionStorage.getItem(name)) return
  sessionStorage.setItem(name, '1')
  e.preventDefault()
  location.reload()
})

const root = document.documentElement
root.lang = language.startsWith('pseudo') ? 'en' : language
root.dir = language === 'pseudo-rtl' ? 'rtl' : 'ltr'
// The page and its texts come side by side; what fails is told when it is shown.
const first = routeOf(location.pathname)?.route
first?.load().catch(() => {})
for (const group of first?.texts ?? []) loadMessages(group).catch(() => {})
await loadMessages('core')
mount(App, { target: document.getElementById('app')! })
