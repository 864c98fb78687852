from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Empty(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Event(_message.Message):
    __slots__ = ("type", "payload")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    type: int
    payload: str
    def __init__(self, type: _Optional[int] = ..., payload: _Optional[str] = ...) -> None: ...

class Ding(_message.Message):
    __slots__ = ("data",)
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: str
    def __init__(self, data: _Optional[str] = ...) -> None: ...

class Dirty(_message.Message):
    __slots__ = ("type", "id")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    type: int
    id: str
    def __init__(self, type: _Optional[int] = ..., id: _Optional[str] = ...) -> None: ...

class Id(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class Ids(_message.Message):
    __slots__ = ("ids",)
    IDS_FIELD_NUMBER: _ClassVar[int]
    ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, ids: _Optional[_Iterable[str]] = ...) -> None: ...

class Contact(_message.Message):
    __slots__ = ("id", "name", "alias")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ALIAS_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    alias: str
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., alias: _Optional[str] = ...) -> None: ...

class Room(_message.Message):
    __slots__ = ("id", "topic")
    ID_FIELD_NUMBER: _ClassVar[int]
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    id: str
    topic: str
    def __init__(self, id: _Optional[str] = ..., topic: _Optional[str] = ...) -> None: ...

class MemberId(_message.Message):
    __slots__ = ("id", "member_id")
    ID_FIELD_NUMBER: _ClassVar[int]
    MEMBER_ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    member_id: str
    def __init__(self, id: _Optional[str] = ..., member_id: _Optional[str] = ...) -> None: ...

class Member(_message.Message):
    __slots__ = ("id", "room_alias", "name")
    ID_FIELD_NUMBER: _ClassVar[int]
    ROOM_ALIAS_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    id: str
    room_alias: str
    name: str
    def __init__(self, id: _Optional[str] = ..., room_alias: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class Message(_message.Message):
    __slots__ = ("id", "text", "type", "talker_id", "room_id", "listener_id", "mention_ids")
    ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    TALKER_ID_FIELD_NUMBER: _ClassVar[int]
    ROOM_ID_FIELD_NUMBER: _ClassVar[int]
    LISTENER_ID_FIELD_NUMBER: _ClassVar[int]
    MENTION_IDS_FIELD_NUMBER: _ClassVar[int]
    id: str
    text: str
    type: int
    talker_id: str
    room_id: str
    listener_id: str
    mention_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, id: _Optional[str] = ..., text: _Optional[str] = ..., type: _Optional[int] = ..., talker_id: _Optional[str] = ..., room_id: _Optional[str] = ..., listener_id: _Optional[str] = ..., mention_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class Text(_message.Message):
    __slots__ = ("conversation_id", "text", "mentional_ids")
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    MENTIONAL_IDS_FIELD_NUMBER: _ClassVar[int]
    conversation_id: str
    text: str
    mentional_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, conversation_id: _Optional[str] = ..., text: _Optional[str] = ..., mentional_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class MiniProgram(_message.Message):
    __slots__ = ("appid", "description", "page_path", "thumb_url", "title", "username", "thumb_key")
    APPID_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    PAGE_PATH_FIELD_NUMBER: _ClassVar[int]
    THUMB_URL_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    USERNAME_FIELD_NUMBER: _ClassVar[int]
    THUMB_KEY_FIELD_NUMBER: _ClassVar[int]
    appid: str
    description: str
    page_path: str
    thumb_url: str
    title: str
    username: str
    thumb_key: str
    def __init__(self, appid: _Optional[str] = ..., description: _Optional[str] = ..., page_path: _Optional[str] = ..., thumb_url: _Optional[str] = ..., title: _Optional[str] = ..., username: _Optional[str] = ..., thumb_key: _Optional[str] = ...) -> None: ...

class CardMessage(_message.Message):
    __slots__ = ("conversation_id", "mini_program")
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    MINI_PROGRAM_FIELD_NUMBER: _ClassVar[int]
    conversation_id: str
    mini_program: MiniProgram
    def __init__(self, conversation_id: _Optional[str] = ..., mini_program: _Optional[_Union[MiniProgram, _Mapping]] = ...) -> None: ...

class FileMessage(_message.Message):
    __slots__ = ("conversation_id", "file_box")
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    FILE_BOX_FIELD_NUMBER: _ClassVar[int]
    conversation_id: str
    file_box: str
    def __init__(self, conversation_id: _Optional[str] = ..., file_box: _Optional[str] = ...) -> None: ...

class Chunk(_message.Message):
    __slots__ = ("chunk",)
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    chunk: bytes
    def __init__(self, chunk: _Optional[bytes] = ...) -> None: ...

class Sent(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...
