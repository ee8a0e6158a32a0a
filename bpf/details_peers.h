/* SPDX-License-Identifier: MIT */
/*
 * Which peer a call was about. A socket that is connected knows it. Of a connect that failed the kernel forgets it, and a
 * socket that sends to many never had one: then it is the address that the call was given, or has filled in.
 */
#ifndef STRACED_DETAILS_PEERS_H
#define STRACED_DETAILS_PEERS_H

#define LISTENING 10		/* TCP_LISTEN */
#define ESTABLISHED 1
#define PORT_IS_BOUND 8		/* SOCK_BINDPORT_LOCK */
#define UNIX_BYTES 110		/* struct sockaddr_un */
#define PROTOCOL_SHIFT 8
#define KIND_MASK 255

enum errnos { INTERRUPTED = 4, AGAIN = 11, NO_TERMINAL = 25, NO_SEEK = 29, IS_CONNECTED = 106, NOT_CONNECTED = 107, ALREADY = 114,
	      IN_PROGRESS = 115 };

/* In which argument an address stands, and whose it is. */
enum address_use { ADDRESS_CONNECT = 1, ADDRESS_BIND, ADDRESS_TO, ADDRESS_FROM, MESSAGE_TO, MESSAGE_FROM, POLLED, SOCKET_ERROR };

/* Rows from BY_FAMILY on are named by their key alone. Above these bits a key of the Internet has its protocol. */
enum file_kind { BY_INODE = 1, BY_PATH, BY_OTHERS, BY_UNIX, BY_UNIX_OWN, BY_FAMILY = 8, BY_PEER = 16, BY_PEER_6, BY_CLIENT,
		 BY_CLIENT_6, BY_OWN, BY_OWN_6 };

struct file_key {
	u32 session;
	u16 kind;
	u16 port;
	u64 one;	/* inode, hash of the path, address */
	u64 two;	/* its number and generation, the rest of the address */
};

struct file_told {
	struct slow_head head;
	struct file_key key;
};

/* struct sockaddr_in and sockaddr_in6 */
struct internet_address {
	u16 family;
	u16 port;
	u32 address;
	u32 address_6[4];
	u32 scope;
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct sock___error {
	int sk_err;
};

#pragma clang attribute pop

INLINE u64 hash_of(struct blob *blob)
{
	u64 *words = (u64 *)(blob + 1);
	u64 hash = 0xcbf29ce484222325ULL + blob->bytes;
	u32 length = blob->bytes;

	for (int i = 0; i < PATH_WORDS; i++) {
		if (8 * i >= length)
			break;
		hash = (hash ^ words[i]) * 0x100000001b3ULL;
		hash ^= hash >> 29;
	}
	return hash;
}

INLINE void set_address_6(struct file_key *key, u64 high, u64 low, u32 scope)
{
	key->one = low >> 32;
	key->two = 0;
	if (!high && (u32)low == 0xffff0000)	/* an address of IPv4 */
		return;
	key->kind++;
	key->one = is_of_link(high) ? high | (u64)scope << 32 : high;
	key->two = low;
}

INLINE void key_of_internet(struct file_key *key, struct sock *sock, u16 family)
{
	u16 protocol = BPF_CORE_READ(sock, sk_protocol);
	u16 peer = __builtin_bswap16(BPF_CORE_READ(sock, __sk_common.skc_dport));
	u16 own = BPF_CORE_READ(sock, __sk_common.skc_num);
	u8 state = BPF_CORE_READ(sock, __sk_common.skc_state);
	struct sock___bound *bound = (struct sock___bound *)sock;
	bool connected = peer || (protocol != IS_TCP && state == ESTABLISHED);
	u64 address[2];

	own = own ?: __builtin_bswap16(BPF_CORE_READ((struct inet_sock *)sock, inet_sport));
	key->one = key->two = 0;
	if (connected) {
		key->kind = is_accepted(sock, protocol, own, peer) ? BY_CLIENT : BY_PEER;
		key->port = key->kind == BY_PEER ? peer : own;
	} else {
		key->kind = BY_OWN;
		if (state != LISTENING && !(BPF_CORE_READ_BITFIELD_PROBED(bound, sk_userlocks) & PORT_IS_BOUND))
			own = 0;	/* nobody has asked for that one */
		key->port = own;
	}
	key->kind |= protocol << PROTOCOL_SHIFT;
	if (!connected && !own)
		return;
	if (family == AF_INET) {
		key->one = connected ? BPF_CORE_READ(sock, __sk_common.skc_daddr) : BPF_CORE_READ(sock, __sk_common.skc_rcv_saddr);
		return;
	}
	if (connected)
		BPF_CORE_READ_INTO(&address, sock, __sk_common.skc_v6_daddr);
	else
		BPF_CORE_READ_INTO(&address, sock, __sk_common.skc_v6_rcv_saddr);
	set_address_6(key, address[0], address[1], BPF_CORE_READ(bound, __sk_common.skc_bound_dev_if));
}

/* The address in the scratch place, of so many bytes, is the key. */
INLINE u32 key_of_unix_name(struct file_key *key, struct scratch *scratch, u32 bytes, u16 kind)
{
	u32 at = end_blob(scratch, sizeof(struct file_told), bytes, 0, BLOB_ADDRESS_IN);

	key->kind = kind;
	key->port = 0;
	key->one = hash_of((struct blob *)(scratch->bytes + sizeof(struct file_told)));
	key->two = 0;
	return at;
}

INLINE void key_of_family(struct file_key *key, u16 family, u16 protocol)
{
	key->kind = BY_FAMILY;
	key->port = family;
	key->one = protocol;
	key->two = 0;
}

INLINE u32 key_of_unix(struct file_key *key, struct scratch *scratch, struct unix_sock *sock)
{
	struct unix_sock *peer = (struct unix_sock *)BPF_CORE_READ(sock, peer);
	struct unix_address *address = peer ? BPF_CORE_READ(peer, addr) : 0;
	u16 kind = address ? BY_UNIX : BY_UNIX_OWN;
	u8 *to = blob_bytes(scratch, sizeof(struct file_told));
	u32 bytes;

	address = address ?: BPF_CORE_READ(sock, addr);
	if (!address && !peer)
		key_of_family(key, AF_UNIX, 0);	/* not connected, and nothing yet */
	if (!address)
		return 0;
	bytes = BPF_CORE_READ(address, len);
	barrier_var(bytes);
	if (bytes <= 2 || bytes > UNIX_BYTES ||
	    bpf_probe_read_kernel(to, bytes, (void *)address + bpf_core_field_offset(struct unix_address, name)))
		return 0;
	if (to[2] && !to[bytes - 1])
		bytes--;
	return key_of_unix_name(key, scratch, bytes, kind);
}

INLINE u32 key_of_given_unix(struct file_key *key, struct scratch *scratch, u64 address, u32 bytes, u16 kind)
{
	u16 *to = blob_bytes(scratch, sizeof(struct file_told));
	long found;

	bytes = bytes > UNIX_BYTES ? UNIX_BYTES : bytes;
	barrier_var(bytes);
	if (bytes <= 2 || bytes > UNIX_BYTES)
		return 0;
	*to = AF_UNIX;
	found = bpf_probe_read_user_str(to + 1, bytes - 1, (void *)(address + 2));
	if (found > 1)
		return key_of_unix_name(key, scratch, (u32)found + 1 > UNIX_BYTES ? UNIX_BYTES : found + 1, kind);
	if (bpf_probe_read_user(to, bytes, (void *)address))
		return 0;
	return key_of_unix_name(key, scratch, bytes, kind);
}

/* Where the address is that a call has used, and how long; false: it is with the socket, if there is one. */
INLINE bool address_of(struct scratch *scratch, u32 use, long result, u64 *address, u32 *bytes)
{
	u64 message[2];

	*address = scratch->args[use <= ADDRESS_BIND ? 1 : 4];
	*bytes = scratch->args[use <= ADDRESS_BIND ? 2 : 5];
	switch (use) {
	case ADDRESS_CONNECT:
		if (result == -IN_PROGRESS || result == -ALREADY || result == -IS_CONNECTED || result == -INTERRUPTED)
			return false;
		/* fallthrough */
	case ADDRESS_BIND:
		return result < 0;
	case ADDRESS_TO:
		return true;
	case ADDRESS_FROM:
		return result >= 0 && *address && !bpf_probe_read_user(bytes, sizeof(*bytes), (void *)scratch->args[5]);
	case MESSAGE_FROM:
		if (result < 0)
			return false;
		/* fallthrough */
	case MESSAGE_TO:
		if (bpf_probe_read_user(message, sizeof(message), (void *)scratch->args[1]))
			return false;
		*address = message[0];
		*bytes = message[1];
		return true;
	}
	return false;
}

INLINE void key_of_given_internet(struct file_key *key, struct internet_address *given, u32 use, struct sock *sock)
{
	u16 protocol = BPF_CORE_READ(sock, sk_protocol);
	u16 own = BPF_CORE_READ(sock, __sk_common.skc_num);
	u16 peer = __builtin_bswap16(given->port);

	key->kind = use == ADDRESS_BIND ? BY_OWN : is_accepted(sock, protocol, own, peer) ? BY_CLIENT : BY_PEER;
	key->port = key->kind == BY_CLIENT ? own : peer;
	key->kind |= protocol << PROTOCOL_SHIFT;
	if (given->family == AF_INET) {
		key->one = given->address;
		key->two = 0;
	} else {
		set_address_6(key, given->address_6[0] | (u64)given->address_6[1] << 32,
			      given->address_6[2] | (u64)given->address_6[3] << 32, given->scope);
	}
}

/*
 * The key of a call about a socket; returns where the address ends that stands in the scratch place then, as a name, or 0:
 * there is none, since the key is one, or the socket has none.
 */
__attribute__((noinline)) int key_of_socket(struct file_key *key, u64 file_address, u32 use, long result)
{
	struct file___open *file = (void *)file_address;
	struct socket *socket = BPF_CORE_READ(file, private_data);
	struct sock *sock = BPF_CORE_READ(socket, sk);
	u16 family = BPF_CORE_READ(sock, __sk_common.skc_family);
	struct scratch *scratch = scratch_of(false);
	struct internet_address given = {};
	u64 address;
	u32 bytes;

	if (!key || !scratch || !family)
		return 0;
	if (use && address_of(scratch, use, result, &address, &bytes) && address && bytes > 2) {
		bytes = bytes > sizeof(given) ? sizeof(given) : bytes;
		barrier_var(bytes);
		if (bytes <= sizeof(given) && !bpf_probe_read_user(&given, bytes, (void *)address)) {
			if (given.family == AF_UNIX)
				return key_of_given_unix(key, scratch, address, bytes, use == ADDRESS_BIND ? BY_UNIX_OWN : BY_UNIX);
			if ((given.family == AF_INET && bytes >= 8) || (given.family == AF_INET6 && bytes >= 24)) {
				key_of_given_internet(key, &given, use, sock);
				return 0;
			}
		}
	}
	if (family == AF_UNIX)
		return key_of_unix(key, scratch, (struct unix_sock *)sock);
	if (family == AF_INET || family == AF_INET6) {
		key_of_internet(key, sock, family);
		return 0;
	}
	key_of_family(key, family, BPF_CORE_READ(sock, sk_protocol));
	return 0;
}

#endif
