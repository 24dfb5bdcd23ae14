"""Bytes and packets.  Knows MySQL and OB 2.0, nothing of routing or sockets.

    fields      constants; length-encoded integers and strings; a cursor over a payload
    packets     framing: 3+1 header, 16 MiB splits, sequence numbers
    handshake   greeting, login packet, TLS request, auth switch
    auth        native-password tokens
    login_name  ``user@tenant#cluster`` and its other forms
    proxy_protocol  who the client is, by a load balancer's word
    command     COM_* numbers, where a request ends
    parameters  parameters of COM_STMT_EXECUTE
    phases      the phases of a response, as tables
    response    where a response ends, and what its last packets say
    state       the session-state block of an OK packet
    reroute     where error 5727 says that a statement belongs
    resultset   OK, ERR, EOF and text result sets of our own
    answers     answers to statements of our own: packets to rows
    framing     which framing a server session has: plain, compressed, OB 2.0
    compressed  MySQL's compressed protocol, and OceanBase's way with it
    ob20        OB 2.0 framing: whole frames
    ob20_requests   requests in OB 2.0 frames, as they come
    ob20_answers    answers in OB 2.0 frames, as they come
    extra_info  what travels beside the packets in OB 2.0

Every parser has one law: any bytes give a value or a ``ProtocolError``.
"""
