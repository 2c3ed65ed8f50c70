# -*- coding: utf-8 -*-
"""Tables of SQLAlchemy with what is in them, in memory."""
import sqlalchemy
from sqlalchemy import Column, ForeignKey, Integer, String, orm

try:
    Base = orm.declarative_base()
except AttributeError:
    from sqlalchemy.ext.declarative import declarative_base
    Base = declarative_base()


class Author(Base):
    __tablename__ = 'author'
    id = Column(Integer, primary_key=True)
    name = Column(String(20))
    books = orm.relationship('Book', backref='author')


class Book(Base):
    __tablename__ = 'book'
    id = Column(Integer, primary_key=True)
    title = Column(String(20))
    author_id = Column(Integer, ForeignKey('author.id'))


engine = sqlalchemy.create_engine('sqlite://')
Base.metadata.create_all(engine)
session = orm.sessionmaker(bind=engine)()
session.add(Author(id=1, name=u'Ada', books=[Book(id=1, title=u'One'), Book(id=2, title=u'Two')]))
session.commit()


def rows():
    return session.query(Author.id, Author.name).all()


def loaded():
    found = session.query(Author).first()
    found.name
    session.expunge(found)
    return found


def with_books():
    session.expire_all()
    found = session.query(Author).options(orm.joinedload(Author.books)).first()
    [book.title for book in found.books]
    session.expunge_all()
    return found
