# What netlab and compare share: how the programs we measure ourselves against are set up. To be sourced.
# shellcheck shell=bash

# write_torrent FILE PIECE_BYTES ANNOUNCE_URL: the .torrent of one file, on stdout. Bencoding is plain text but
# for the hashes, so nothing needs to be installed for it.
write_torrent() {
    local file=$1 piece_bytes=$2 announce=$3 name bytes
    name=$(basename "$file") bytes=$(stat -c %s "$file")
    local pieces=$(((bytes + piece_bytes - 1) / piece_bytes))
    printf 'd8:announce%d:%s4:infod6:lengthi%de4:name%d:%s12:piece lengthi%de6:pieces%d:' \
        "${#announce}" "$announce" "$bytes" "${#name}" "$name" "$piece_bytes" \
        $((20 * pieces))
    split -b "$piece_bytes" --filter=sha1sum "$file" | cut -c-40 | tr -d '\n' | tr a-f A-F | basenc --base16 -d
    printf 'ee'
}

# write_tracker_answer HOST:PORT...: what a tracker says to everybody. All addresses are known beforehand, so a
# file that the web server hands out is tracker enough: no other program, no multicast, no DHT to warm up.
write_tracker_answer() {
    local address octets port
    printf 'd8:intervali60e5:peers%d:' $(($# * 6))
    for address; do
        IFS=. read -ra octets <<< "${address%:*}"
        port=${address##*:}
        # shellcheck disable=SC2059  # the format is the bytes
        printf "$(printf '\\x%02x' "${octets[@]}" $((port >> 8)) $((port & 255)))"
    done
    printf 'e'
}

# write_nginx_conf PLACE HOST:PORT ROOT: a web server with sendfile that writes nothing outside PLACE and answers
# /announce with PLACE/announce.
write_nginx_conf() {
    local place=$1 address=$2 root=$3
    # Workers of a master that root starts would become nobody, who may not read a temporary directory.
    [ "$(id -u)" = 0 ] && echo "user root;"
    cat <<CONF
daemon off; pid $place/nginx.pid; worker_processes 2;
events { worker_connections 1024; }
http { access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;
  client_body_temp_path $place/t1; proxy_temp_path $place/t2; fastcgi_temp_path $place/t3;
  uwsgi_temp_path $place/t4; scgi_temp_path $place/t5;
  server { listen $address; root $root; location = /announce { alias $place/announce; } } }
CONF
}

# aria2 finds others by the tracker alone, and seeds for as long as it is left running.
# shellcheck disable=SC2034  # used by who sources this
aria2_options=(--no-conf --quiet --enable-dht=false --enable-dht6=false --bt-enable-lpd=false --file-allocation=none
    --disable-ipv6 --allow-overwrite --seed-ratio=0)

# median: of the numbers on stdin, one a line.
median() {
    sort -n | awk '{ at[NR] = $1 } END { if (NR) print NR % 2 ? at[(NR + 1) / 2] : (at[NR / 2] + at[NR / 2 + 1]) / 2 }'
}

# installed PROGRAM...: whether all are there.
installed() {
    local program
    for program; do command -v "$program" > /dev/null || return 1; done
}
