// SPDX-License-Identifier: MIT
// The board in the browser. Whatever guests write goes into the page as text, never as HTML.
'use strict';
const by = id => document.getElementById(id);
const most_upload = 64 * 1048576;
let socket = null;
let room = '';
let seen = 0;        // the last message that is shown
let pause = 500;     // before it comes back, in ms

function make(kind, text, name) {
  const e = document.createElement(kind);
  if (text !== undefined) e.textContent = text;
  if (name) e.className = name;
  return e;
}

// ---- messages

const bytes = n => n < 1024 ? n + ' B' : n < 1048576 ? (n / 1024).toFixed(1) + ' KB' : (n / 1048576).toFixed(1) + ' MB';

function attached(file) {
  const link = make('a', file.name);
  link.href = file.path;
  link.download = file.name;
  const body = make('div');
  if (/\.(png|jpe?g|gif|webp)$/.test(file.path)) {
    const picture = make('img');
    picture.src = file.path;
    picture.alt = '';
    body.append(picture);
  }
  body.append(link, ' ', make('span', bytes(file.bytes), 'size'));
  return body;
}

function show(message) {
  if (message.id <= seen) return;
  seen = message.id;
  const list = by('messages');
  const at_end = list.scrollHeight - list.scrollTop - list.clientHeight < 60;
  const item = make('li');
  item.dataset.id = message.id;
  if (message.who === by('name').value.trim()) item.className = 'mine';
  const line = make('div', undefined, 'by');
  const time = make('time', new Date(message.at).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' }));
  line.append(make('b', message.who), time);
  const body = make('div', message.text, 'body');
  if (message.file) body.append(attached(message.file));
  item.append(line, body);
  list.append(item);
  const to_end = () => { if (at_end) list.scrollTop = list.scrollHeight; };
  to_end();
  item.querySelector('img')?.addEventListener('load', to_end);
}

function refuse(why) {
  by('refused').textContent = why;
  by('refused').hidden = !why;
}

// ---- the WebSocket, which comes back by itself

function link(state, text) {
  document.body.dataset.link = state;
  by('link').textContent = text;
}

function heard(event) {
  const told = JSON.parse(event.data);
  if (told.history) told.history.forEach(show);
  if (told.said) show(told.said);
  if (told.guests !== undefined) by('guests').textContent = told.guests === 1 ? '1 guest' : told.guests + ' guests';
  if (told.refused) refuse(told.refused);
}

function connect() {
  const query = new URLSearchParams({ who: by('name').value.trim(), after: seen });
  const mine = new WebSocket(location.origin.replace(/^http/, 'ws') + '/rooms/' + room + '/talk?' + query);
  socket = mine;
  mine.onopen = () => {
    pause = 500;
    link('open', 'connected');
  };
  mine.onmessage = event => { if (socket === mine) heard(event); };
  mine.onclose = () => {
    if (socket !== mine) return;  // another room was entered
    link('lost', 'connection lost, trying again');
    setTimeout(() => { if (socket === mine) connect(); }, pause);
    pause = Math.min(10000, pause * 2);
  };
}

function enter() {
  if (!by('enter').reportValidity()) return;
  room = by('room').value;
  localStorage.setItem('board-name', by('name').value);
  history.replaceState(null, '', '#' + room);
  by('title').textContent = '#' + room;
  by('messages').replaceChildren();
  by('guests').textContent = '';
  refuse('');
  seen = 0;
  link('opening', 'connecting');
  const old = socket;
  connect();
  if (old && old.readyState === WebSocket.CONNECTING) old.onopen = () => old.close();
  else if (old) old.close();
}

// ---- saying and sending

function say() {
  const text = by('text').value.trim();
  if (!text || !socket || socket.readyState !== WebSocket.OPEN) return;
  refuse('');
  socket.send(JSON.stringify({ text }));
  by('text').value = '';
}

async function upload(file) {
  refuse(file.size > most_upload ? 'a file has at most ' + bytes(most_upload) : '');
  if (file.size > most_upload) return;
  const form = new FormData();
  form.append('who', by('name').value.trim());
  form.append('text', by('text').value.trim());
  form.append('file', file, file.name);
  by('send').disabled = true;
  try {
    const answer = await fetch('/rooms/' + room + '/files', { method: 'POST', body: form });
    if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).detail || 'status ' + answer.status);
    by('text').value = '';
  } catch (error) {
    refuse('The file was not taken: ' + error.message);
  }
  by('send').disabled = false;
}

// ---- statistics and other services

function statistics(event) {
  const now = JSON.parse(event.data);
  for (const name of ['guests', 'said', 'uploaded', 'loops', 'tasks', 'stolen'])
    by('stat-' + name).textContent = now[name].toLocaleString('en');
  by('rooms').replaceChildren(...now.rooms.map(one => {
    const item = make('li'), entry = make('a');
    entry.href = '#' + one.name;
    if (one.name === room) entry.setAttribute('aria-current', 'page');
    entry.append(make('span', one.name), make('span', one.guests || '', 'count'));
    item.append(entry);
    return item;
  }));
  document.body.dataset.ticks = Number(document.body.dataset.ticks || 0) + 1;
}

function service(report) {
  const card = make('article'), head = make('div', undefined, 'head');
  card.dataset.name = report.name;
  card.dataset.state = report.state;
  head.append(make('b', report.name), make('span', report.ms + ' ms', 'took'));
  const is_fine = report.state === 'fine';
  card.append(head, is_fine ? make('pre', JSON.stringify(report.value, null, 1)) : make('p', report.error));
  return card;
}

async function look_around() {
  by('again').disabled = true;
  try {
    const answer = await fetch('/api/around');
    by('around').replaceChildren(...(await answer.json()).map(service));
  } catch (error) {
    by('around').replaceChildren(make('p', 'The board does not answer.'));
  }
  by('again').disabled = false;
}

// ---- the beginning

by('enter').addEventListener('submit', event => { event.preventDefault(); enter(); });
by('say').addEventListener('submit', event => { event.preventDefault(); say(); });
by('text').addEventListener('keydown', event => {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  say();
});
by('file').addEventListener('change', () => {
  if (by('file').files[0]) upload(by('file').files[0]);
  by('file').value = '';
});
const talk = document.querySelector('.talk');
for (const kind of ['dragover', 'dragleave', 'drop']) {
  talk.addEventListener(kind, event => {
    event.preventDefault();
    by('drop').hidden = kind !== 'dragover';
    if (kind === 'drop' && event.dataTransfer.files[0]) upload(event.dataTransfer.files[0]);
  });
}
by('again').addEventListener('click', look_around);
addEventListener('hashchange', () => {
  by('room').value = decodeURIComponent(location.hash.slice(1));
  enter();
});
new EventSource('/api/stats').onmessage = statistics;
look_around();
by('room').value = decodeURIComponent(location.hash.slice(1)) || 'lobby';
by('name').value = localStorage.getItem('board-name') || '';
if (by('name').value) enter();
