with source as (

    select * from {{ source('lake', 'feed_gaps') }}

),

renamed as (

    select
        -- identity
        underlying,
        stream_sequence,
        feed,
        channel,

        -- what happened
        reason,
        status,
        backfilled_trades,
        known_trades,
        detail,

        -- dates and instants
        session_date,
        event_at,
        until,
        known_at,
    from source
    -- while a session is compacted its rows lie in two files, the same in both
    qualify
        row_number() over (
            partition by underlying, session_date, stream_sequence
            order by known_at
        ) = 1

)

select * from renamed
