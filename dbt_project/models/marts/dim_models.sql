-- The models themselves are rules in code, not rows of the lake: a test keeps this list and theirs
-- equal. Their numbers answer different questions: no mart adds up over them.
with models as (

    select *
    from (
        values
        ('naive', 'rule', 'long every call, short every put of the open interest'),
        ('inverted', 'rule', 'short every call, long every put of the open interest'),
        ('long_gamma', 'rule', 'long the whole open interest'),
        ('short_gamma', 'rule', 'short the whole open interest'),
        ('taker_flow', 'evidence', 'opposite to customers'' net trades since first followed'),
        ('open_close', 'evidence', 'market makers'' own buys minus sells, counted by the exchange'),
        ('reconciled', 'evidence', 'posterior of prior, flow and changes of open interest')
    ) as listed (model, told_by, position)

),

final as (

    select
        model,
        told_by = 'rule' as is_declared,
        position,
        model = 'reconciled' as tells_error,
    from models

)

select * from final
